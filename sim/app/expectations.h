// Whether a scenario shows the figures that it says it should (section `expect`).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/app/capacity_study.h"
#include "sim/app/figures.h"
#include "sim/config/scenario.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"

namespace v4cap {

struct ExpectationResult {
  Expectation expected;
  FigureName figure;
  std::optional<double> found;
  std::string why_not;  // why nothing was found

  double difference() const { return found.value_or(0) - expected.value; }
  bool within() const;
};

// Names of figures and the overrides of every expectation, at their places. Throws InputError.
void check_expectations(const Scenario& scenario, const ScenarioLoader& load);

// load_named_scenario and check_expectations.
Scenario load_checked_scenario(const std::string& path, const ScenarioOptions& options);

// Runs a scenario for the figures of a run.
using ScenarioRun = std::function<RunResult(const Scenario&)>;

// In the order of the file. Without `run` the figures of a run are left for `v4cap simulate`, and
// the result says so.
std::vector<ExpectationResult> find_expected(const Scenario& scenario, const ScenarioLoader& load,
                                             const ScenarioRun& run = {});

// A table with a line for each, "" when there are none.
std::string expectations_text(const std::vector<ExpectationResult>& results,
                              const TextStyle& style);
// Member `expectations` of the object that is being written; nothing when there are none.
void write_expectations(JsonWriter& json, const std::vector<ExpectationResult>& results);

}  // namespace v4cap
