// The `workload` section of a scenario: which requests come, and when.
#pragma once

#include <string>

#include "sim/config/scenario.h"
#include "sim/config/section.h"

namespace v4cap {

// Errors are collected in the section's document. Folders as for find_trace
// (sim/config/trace_files.h); without `find_files` its files need not be there and paths stay
// empty.
const std::vector<KeySpec>& workload_keys();

WorkloadConfig read_workload(Section section, const std::string& scenario_dir,
                             const std::string& trace_dir, bool find_files);

}  // namespace v4cap
