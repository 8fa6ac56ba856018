// The command that starts an engine as a scenario describes it: what `v4cap import` does, the other
// way round. A command is checked by importing it again: keys that come back otherwise are what no
// flag can say.
//
// An engine is one file that registers how it writes its flags, under the name of its layout.
#pragma once

#include <string>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/core/registry.h"

namespace v4cap {

// Words of the command; `checkpoint` is what the model is called.
using LaunchWriters =
    Registry<std::vector<std::string> (*)(const Scenario& scenario, const std::string& checkpoint)>;

struct KeyDifference {
  std::string path, ours, imported;
};

struct LaunchCommand {
  std::string engine;                      // "" = the layout is no engine's
  std::string text;                        // for a shell, on several lines
  std::vector<KeyDifference> differences;  // between the scenario and the imported command
};

LaunchCommand launch_command(const Scenario& scenario);

}  // namespace v4cap
