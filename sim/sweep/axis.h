// An axis of a sweep: key paths of a scenario and the values that they take in turn. One entry of
// `axes:`
//
//   kv_cache.swa_policy: [full, recompute]               a list
//   engine.max_running: {from: 16, to: 64, step: 16}     a grid: 16, 32, 48, 64
//   kv_cache.memory: {log: [8 GiB, 64 GiB], points: 4}   equal ratios: 8, 16, 32, 64 GiB
//   node:                                                keys that move together; the name is for
//     keys: [hardware, deployment.tensor_parallel]       people
//     rows: [[hgx-b200, 8], [hgx-h200, 8]]
//
// `null` as a value leaves the key to its default. Ends of a grid or a range carry the same unit;
// where both ends of a range are written as whole numbers its values are whole, each once.
#pragma once

#include <string>
#include <vector>

#include "sim/config/yaml_tree.h"

namespace v4cap {

struct Axis {
  std::string name;
  std::vector<std::string> paths;
  std::vector<std::vector<YamlNode>>
      rows;  // one value for each path: a scalar or null, with its place
};

// The entry of `axes:` that `node` is, key included. Throws InputError with everything that is
// wrong. The same value twice is refused.
Axis read_axis(const YamlNode& node);

// The values of an axis with one path.
std::vector<YamlNode> read_axis_values(const YamlNode& node, const std::string& path);

// As it was written, for files and tables: "null" for a value that leaves the key to its default.
const std::string& text_of(const YamlNode& value);

}  // namespace v4cap
