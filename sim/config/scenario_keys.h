// The keys of a scenario: its top level and the sections that scenario_file.cpp reads itself.
#pragma once

#include "sim/config/keys.h"

namespace v4cap {

const std::vector<KeySpec>& scenario_keys();

// Of step_time_factor.
inline constexpr double kStepTimeFactorMin = 0.01, kStepTimeFactorMax = 100;

}  // namespace v4cap
