// Changes that may let a deployment hold more. What a change gains is not told from figures: it is
// run.
#pragma once

#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/plan/plan_file.h"

namespace v4cap {

// What people turn on such a deployment, without values that are on an axis of the plan: those were
// searched already.
std::vector<Lever> usual_levers(const Scenario& scenario, const std::vector<Axis>& axes);

}  // namespace v4cap
