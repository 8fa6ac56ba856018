// The steps of A's log beside their times on the other side: those that B's log has for the same
// plans, or those that a cost model gives.
#pragma once

#include <optional>
#include <string>

#include "sim/compare/step_errors.h"
#include "sim/cost/cost_model.h"

namespace v4cap {

// Whether the directory of a run has a log of its steps.
bool has_step_log(const std::string& directory);

// Every step of A by B's own log; empty when B made other plans. Throws InputError for a broken log.
std::optional<StepComparison> compare_equal_steps(const std::string& a, const std::string& b);

// Every step of A by `cost`, which is named in the result as `source`.
StepComparison compare_steps(const std::string& a, const CostModel& cost,
                             const std::string& source);

}  // namespace v4cap
