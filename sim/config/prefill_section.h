// The section `prefill` of a scenario: replicas of their own that read prompts. Those of `cluster`
// then generate, as the rest of the scenario says; where prompts are read on other hardware, or by
// engines set up differently, the sections that differ stand in `prefill`, whole:
//
//   prefill:
//     replicas: 2
//     deployment: {tensor_parallel: 4}
//     transfer: {bandwidth: 50 GB/s, overlap: layers}
#pragma once

#include <vector>

#include "sim/config/cluster_config.h"
#include "sim/config/keys.h"
#include "sim/config/section.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

// Keys of the section beside those of a scenario that may stand in it, and of its `transfer`.
const std::vector<KeySpec>& prefill_pool_keys();

// Reads them; what is a scenario's stays to be read from prefill_scenario().
PrefillConfig read_prefill(Section& section);

// The scenario of the replicas that read prompts, from that of those that generate.
YamlNode prefill_scenario(const YamlNode& scenario);

// Writes out, in `section`, what of `resolved` (a scenario's text) stands in place of the other's.
void record_prefill(Section& section, const std::string& resolved);

}  // namespace v4cap
