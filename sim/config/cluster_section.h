// The section `cluster` of a scenario: several replicas of its deployment. It is read, and written
// out with its defaults, only where it is given.
#pragma once

#include <string>

#include "sim/config/scenario.h"
#include "sim/config/section.h"

namespace v4cap {

const std::vector<KeySpec>& cluster_keys();

// `ranks`: attention ranks of a replica. `below`: tiers of it. `file`: the scenario's, for errors.
ClusterConfig read_cluster(Section section, std::int64_t ranks, const TiersConfig& below,
                           const std::string& file, std::int64_t prefill_replicas = 0);

}  // namespace v4cap
