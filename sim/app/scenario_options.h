// What every command that reads a scenario does first: options of the command line, then the check of names.
#pragma once

#include <string>

#include "sim/app/command.h"
#include "sim/config/scenario_file.h"

namespace v4cap {

ScenarioOptions scenario_options(const GlobalOptions& options);

// validate_names with everything that has registered itself in this program.
void check_names(const Scenario& scenario);

// load_scenario and check_names.
Scenario load_checked_scenario(const std::string& path, const ScenarioOptions& options);

}  // namespace v4cap
