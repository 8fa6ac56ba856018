// A sweep as a file asks for it: a base scenario, axes, seeds, constraints and thresholds.
//
//   base: agents_weka_v8.yaml          a scenario, relative to the sweep file
//   axes:                              axis.h; the last one varies fastest
//     kv_cache.swa_policy: [full, recompute]
//     workload.arrivals.sessions_at_a_time: {from: 8, to: 32, step: 8}
//   seeds: [1, 2, 3]                   default: the scenario's; varies faster than any axis
//   constraints:                       condition.h; a point that breaks one is left out
//     - kv_cache.swa_policy != full
//   thresholds:                        a result that keeps them all meets the SLO
//     - ttft_ms.p99 <= 30000
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/keys.h"
#include "sim/sweep/axis.h"
#include "sim/sweep/condition.h"

namespace v4cap {

inline constexpr const char* kSeedPath = "seed";

struct SweepFile {
  std::string name;       // file name without directory and extension
  std::string base_file;  // absolute
  std::string base_text;
  std::vector<std::string> set;  // overrides of the base
  std::vector<Axis> axes;        // seeds last
  std::vector<Condition> constraints, thresholds;
};

// Its keys, for the schema and for a plan file, which has them too.
std::vector<KeySpec> sweep_key_list();

// Throws InputError with everything that is wrong. `set`: overrides of the base; `seed`: in place
// of the file's seeds.
SweepFile read_sweep(const std::string& path, const std::vector<std::string>& set,
                     std::optional<std::uint64_t> seed);

// The same for a tree that was parsed already, as if it were the file `path`. `further_figures`:
// names that thresholds may ask for beside those of a summary.
SweepFile sweep_of_tree(YamlNode root, const std::string& path, const std::vector<std::string>& set,
                        std::optional<std::uint64_t> seed,
                        const std::vector<std::string>& further_figures = {});

// The base with its overrides, before any axis.
YamlNode base_tree(const std::string& text, const std::string& file,
                   const std::vector<std::string>& set);

// The value of the key `path` once the axes have the rows `rows`; nullopt where neither an axis nor
// the base has it.
std::optional<std::string> value_at(const std::string& path, const std::vector<Axis>& axes,
                                    const std::vector<std::uint32_t>& rows, const YamlNode& base);

}  // namespace v4cap
