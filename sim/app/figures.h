// Figures by name: what an expectation of a scenario can ask for. A name is
//   NAME[.PART][@N]      e.g. bytes_per_token.swa, ratio.deepseek-v3.2@1048576
// where PART says of what (a cache kind, another model, a figure of the engine's log) and N is a
// length in tokens or a request's number. New figures are one entry of the table in figures.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/app/capacity_study.h"
#include "sim/output/record.h"

namespace v4cap {

struct FigureKind;

struct FigureName {
  std::string text;  // as given
  const FigureKind* kind = nullptr;
  std::string part;     // "" = none
  std::int64_t at = 0;  // 0 = none
};

// What a figure of capacity is asked of. `load`: the same scenario with further overrides.
struct CapacityQuestion {
  const CapacityOption& option;
  const ScenarioLoader& load;
  const FigureName& name;
};

struct FigureKind {
  enum class Part : std::uint8_t { none, cache_kind_or_none, model, engine_log, pool };
  std::string name;
  Part part = Part::none;
  bool at = false;  // needs @N
  std::string unit;
  std::string meaning;
  // Exactly one is set. Both throw RunError where this scenario has no such figure.
  double (*of_capacity)(const CapacityQuestion&) = nullptr;
  double (*of_run)(const RunResult&, const FigureName&) = nullptr;

  bool needs_run() const { return of_run != nullptr; }
};

const std::vector<FigureKind>& figure_kinds();

// Throws InputError (without a place) for a name that is none, with the nearest.
FigureName parse_figure(const std::string& text);

}  // namespace v4cap
