// A figure that somebody claimed or measured, which a scenario should show.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

// Most that a figure may be off.
struct Tolerance {
  enum class Unit : std::uint8_t {
    share,     // of the expected value
    points,    // hundredths of a rate between 0 and 1
    absolute,  // in the figure's own unit
  };
  Unit unit = Unit::share;
  double amount = 0;  // 5 for "5 %" and "5 points"

  // The same in the figure's own unit.
  double around(double value) const;
  // "5 %", "5 points", "0.05": reads back to the same.
  std::string text() const;
  // nullopt for anything else, and below 0.
  static std::optional<Tolerance> parse(std::string_view text);
};

struct Expectation {
  std::string figure;  // as given, e.g. "ratio.deepseek-v3.2@1048576"
  double value = 0;    // in the figure's unit
  Tolerance within;
  std::vector<std::string> set;  // path.to.key=VALUE
  std::string source;
  Place place;  // of the figure's name
};

}  // namespace v4cap
