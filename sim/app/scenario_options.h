// What every command that reads a scenario does first, in both programs: options of the command
// line, then the check of names. v4cap's own also check what the scenario expects (expectations.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/app/command.h"
#include "sim/config/scenario_file.h"

namespace v4cap {

ScenarioOptions scenario_options(const GlobalOptions& options);

// "path.to.key=VALUE" of the command line; where VALUE may name a file and there is one, seen from
// the current folder, it becomes the whole path: in a scenario paths are relative to its own folder.
std::string override_as_typed(const std::string& set);

// The options with further overrides.
ScenarioOptions with_overrides(ScenarioOptions options, const std::vector<std::string>& set);

// validate_names with everything that has registered itself in this program, then the values that
// only a registered layout can judge.
void check_names(const Scenario& scenario);

// load_scenario and check_names.
Scenario load_named_scenario(const std::string& path, const ScenarioOptions& options);

// The scenario with further --set overrides.
using ScenarioLoader = std::function<Scenario(const std::vector<std::string>&)>;

// Loads the same scenario with further overrides, without checking its expectations again.
ScenarioLoader scenario_loader(const std::string& path, const ScenarioOptions& options);

}  // namespace v4cap
