// The keys of a scenario: its top level and the sections that scenario_file.cpp reads itself.
#pragma once

#include <cstdint>

#include "sim/config/keys.h"

namespace v4cap {

const std::vector<KeySpec>& scenario_keys();

// GPUs that a rank is spread over, and ranks.
inline constexpr std::int64_t kWidest = 1024;

// Of step_time_factor.
inline constexpr double kStepTimeFactorMin = 0.01, kStepTimeFactorMax = 100;

}  // namespace v4cap
