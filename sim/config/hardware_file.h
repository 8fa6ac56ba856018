// scenarios/hardware/*.yaml: a node of GPUs with its datasheet peaks and what a roofline reaches of
// them.
#pragma once

#include <string>

#include "sim/config/section.h"
#include "sim/model/hardware.h"

namespace v4cap {

// Reads the keys of a hardware file and rejects unknown ones. Errors are collected in the section's
// document.
// Keys of a hardware file, and of `hardware` in a scenario.
const std::vector<KeySpec>& hardware_keys();

HardwareSpec read_hardware(Section section);

// By name or path; looked for from the current directory (sim/config/data_files.h). Throws
// InputError.
HardwareSpec load_hardware(const std::string& name_or_path);

// The first by name that describes this GPU ("B200"). Throws InputError, at `place` when there is
// none.
HardwareSpec load_hardware_of_gpu(const std::string& gpu, const std::string& scenario_dir,
                                  const Place& place);

}  // namespace v4cap
