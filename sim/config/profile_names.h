// Words of profile files that their reader and their writer share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/cost/profile.h"

namespace v4cap {

inline constexpr const char* kProfileFormat = "1";

inline const std::vector<std::pair<std::string, ProfileGrain>> kProfileGrains = {
    {"operator", ProfileGrain::kernel},
    {"module", ProfileGrain::module},
    {"step", ProfileGrain::step}};
inline const std::vector<std::pair<std::string, Interpolation>> kInterpolations = {
    {"linear", Interpolation::linear}, {"log", Interpolation::log}};

}  // namespace v4cap
