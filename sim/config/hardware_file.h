// scenarios/hardware/*.yaml: a node of GPUs with its datasheet peaks and what a roofline reaches of
// them.
#pragma once

#include <string>

#include "sim/config/section.h"
#include "sim/model/hardware.h"

namespace v4cap {

// Reads the keys of a hardware file and rejects unknown ones. Errors are collected in the section's
// document.
HardwareSpec read_hardware(Section section);

// By name or path; looked for from the current directory (sim/config/data_files.h). Throws
// InputError.
HardwareSpec load_hardware(const std::string& name_or_path);

}  // namespace v4cap
