// What a command hands to the scenario loader from the options that every command takes.
#pragma once

#include "sim/app/command.h"
#include "sim/config/scenario_file.h"

namespace v4cap {

inline ScenarioOptions scenario_options(const GlobalOptions& options) {
  return {options.set, options.seed, options.trace_dir};
}

}  // namespace v4cap
