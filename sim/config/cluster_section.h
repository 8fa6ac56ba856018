// The section `cluster` of a scenario: several replicas of its deployment. It is read, and written
// out with its defaults, only where it is given.
#pragma once

#include <string>

#include "sim/config/scenario.h"
#include "sim/config/section.h"

namespace v4cap {

const std::vector<KeySpec>& cluster_keys();

// `ranks`: attention ranks of a replica. `below`: tiers of it. `file`: the scenario's, for errors.
// `prefill`: what the scenario says of replicas that read prompts, null where it has none.
ClusterConfig read_cluster(Section section, std::int64_t ranks, const TiersConfig& below,
                           const std::string& file, const PrefillConfig* prefill = nullptr);

}  // namespace v4cap
