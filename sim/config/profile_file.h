// Files of measured profiles: NAME.yaml describes (struct Profile), NAME.csv beside it holds the
// samples. Both are text with LF line ends, and the same profile gives the same bytes.
//
//   v4cap_profile=1,name=b200-sglang-0.5.14,engine=sglang,engine_version=0.5.14,series=2,samples=4
//   family=attention_csa_decode,model=deepseek-v4-pro,tp=8,samples=3
//   1,1,79.3
//   ,1024,81.2
//   4,1,80.1
//   family=all_reduce,gpus=8,mode=graph,samples=1
//   4096,5.1
//
// One line per sample: a value for each axis of the family, then microseconds. An empty field
// repeats the line before. Samples ascend by first axis, then second, and so on. Every line beneath
// the header belongs to the last `family=` line, which names the family and a value for each of its
// keys. Counts must match, so that a cut file is noticed. A profile of grain `step` has no
// other family and no table: its coefficients, the sizes of the steps that they come from and, as far
// as it is known, whose these were are in the YAML file.
//
// `host` of the YAML file, where it is, says what the host takes beside the GPU, with the keys of
// engine.host in a scenario, whose defaults it becomes:
//
//   host:
//     eager_layer: 21.5 us
//     eager_step: 130 us
//     graph_step: 42 us
//     graph_sizes: 1-8:1 16-64:8
//
// A profile of engine v4exec must have one unless it is of whole steps, and its families the keys and
// axes of sim/cost/layer_cost.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/cost/profile.h"

namespace v4cap {

// By name, or by path as find_data_file takes it, from `profiles` folders. Throws InputError, with
// the nearest name for what is unknown. A broken file is refused as a whole, with place, what was
// expected and what was found.
Profile load_profile(const std::string& name, const std::string& scenario_dir,
                     const Place& place = {});

// What such a profile says of its host; the rest of it is not looked at. Throws InputError like
// load_profile().
std::optional<HostCost> load_profile_host(const std::string& name, const std::string& scenario_dir,
                                          const Place& place = {});

// Of names such as "b200-sglang-0.5.14" the newest version for this GPU ("B200") and engine; "" when
// there is none.
std::string default_profile(const std::vector<std::string>& names, const std::string& gpu,
                            const std::string& engine);

// Is the name that of a profile of this GPU?
bool is_profile_of(const std::string& name, const std::string& gpu);

// Of the profiles of this GPU that hold for every deployment, those that v4exec measures do not: the
// default one of the first engine by name; "" when there is none.
std::string any_profile(const std::vector<std::string>& names, const std::string& gpu);

}  // namespace v4cap
