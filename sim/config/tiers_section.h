// Section kv_cache.tiers of a scenario: host memory, SSD and remote store below GPU memory. A tier
// that is not named is not there.
#pragma once

#include "sim/config/scenario.h"
#include "sim/config/section.h"

namespace v4cap {

const std::vector<KeySpec>& tiers_keys();
// Names of tiers that there may be, from the fastest down.
Names tier_names();

TiersConfig read_tiers(Section section);

}  // namespace v4cap
