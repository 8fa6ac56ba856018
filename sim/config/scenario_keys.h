// The keys of a scenario: its top level and the sections that scenario_file.cpp reads itself.
#pragma once

#include "sim/config/keys.h"

namespace v4cap {

const std::vector<KeySpec>& scenario_keys();

}  // namespace v4cap
