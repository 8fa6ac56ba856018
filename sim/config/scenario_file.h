// Reading a scenario: a YAML file and overrides in, one checked Scenario out. README and the files
// in scenarios/ show the keys; every key that is absent has a default, which the resolved copy
// writes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

struct ScenarioOptions {
  std::vector<std::string> set;  // path.to.key=VALUE, applied in order; VALUE null removes the key
  std::optional<std::uint64_t> seed;  // wins over the scenario's
  std::string trace_dir;              // where traces are looked for after the scenario's own folder
  bool find_traces = true;  // false: files of the workload are not looked for, and paths stay empty
};

// Throws InputError with everything that is wrong, in the order of lines.
Scenario load_scenario(const std::string& path, const ScenarioOptions& options = {});

// The same for a text; `label` stands for the file in messages, paths are relative to the current
// directory.
Scenario parse_scenario(const std::string& text, const std::string& label,
                        const ScenarioOptions& options = {});

// The same for a tree that was parsed already, as if it were the file `file`: paths are relative to
// its folder.
Scenario scenario_of_tree(YamlNode root, const std::string& file,
                          const ScenarioOptions& options = {});

// Applies the overrides of `options` to a parsed scenario; --set and --seed are their places.
void apply_overrides(YamlNode& root, const ScenarioOptions& options);

// Keys of a scenario that may be a name, so that an override below one lays it over what is named.
const std::vector<std::string>& named_keys();

// Names that exist in the program. sim/config cannot know them: they register themselves in other
// folders.
struct KnownNames {
  std::vector<std::string> schedulers, layouts, swa_policies, routers;
};

// Refuses names that are not known, at the place where they were given. Of "checkpoint=2048" the
// part before the equals sign is the name; its argument is the policy's to check.
void validate_names(const Scenario& scenario, const KnownNames& known);

}  // namespace v4cap
