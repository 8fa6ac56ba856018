// Scalars of a configuration file: what a text means, and the text that means a value. Numbers are
// decimal only (no octal, hexadecimal, underscores, infinities), checked for overflow; amounts
// carry their unit. For every type reading what was written gives the same value, so resolved files
// can be run again.
//   bool      true, false
//   int64, uint64, Tokens   whole numbers: 8192
//   double    0.9, 1.6e12
//   Bytes     "46 GiB", "584 B"; KB = 1000 B, KiB = 1024 B; rounded to a byte
//   Duration  "50 us", "2 s"; exact to a nanosecond
//   BytesPerSecond "7.7 TB/s", FlopPerSecond "4500 TFLOP/s"
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

struct BytesPerSecond {
  double value = 0;
  auto operator<=>(const BytesPerSecond&) const = default;
};

struct FlopPerSecond {
  double value = 0;
  auto operator<=>(const FlopPerSecond&) const = default;
};

// Inclusive bounds, except that `above_min` leaves the minimum itself out.
template <class T>
struct Limits {
  std::optional<T> min, max;
  bool above_min = false;

  bool admit(const T& value) const {
    if (min && (value < *min || (above_min && value == *min))) return false;
    return !max || !(*max < value);
  }
};

template <class T>
Limits<T> at_least(T min) {
  return {min, std::nullopt, false};
}
template <class T>
Limits<T> above(T min) {
  return {min, std::nullopt, true};
}
template <class T>
Limits<T> between(T min, T max) {
  return {min, max, false};
}
template <class T>
Limits<T> above_up_to(T min, T max) {
  return {min, max, true};
}

// nullopt when `text` is no T; `hint` then says what to mind, or stays empty.
template <class T>
std::optional<T> parse_value(std::string_view text, std::string& hint);

// The canonical text of a value, in a form that parse_value reads back to the same value.
template <class T>
std::string value_text(const T& value);

// "a whole number from 1 to 64", "an amount of memory such as 46 GiB": what was expected.
template <class T>
std::string expected_text(const Limits<T>& limits);

// The types there are. Each has its own functions, in value.cpp and value_text.cpp.
#define V4CAP_DECLARE_VALUE(T)                                                \
  template <>                                                                 \
  std::optional<T> parse_value<T>(std::string_view text, std::string & hint); \
  template <>                                                                 \
  std::string value_text<T>(const T& value);                                  \
  template <>                                                                 \
  std::string expected_text<T>(const Limits<T>& limits);
V4CAP_DECLARE_VALUE(bool)
V4CAP_DECLARE_VALUE(std::int64_t)
V4CAP_DECLARE_VALUE(std::uint64_t)
V4CAP_DECLARE_VALUE(double)
V4CAP_DECLARE_VALUE(std::string)
V4CAP_DECLARE_VALUE(Tokens)
V4CAP_DECLARE_VALUE(Bytes)
V4CAP_DECLARE_VALUE(Duration)
V4CAP_DECLARE_VALUE(BytesPerSecond)
V4CAP_DECLARE_VALUE(FlopPerSecond)
#undef V4CAP_DECLARE_VALUE

}  // namespace v4cap
