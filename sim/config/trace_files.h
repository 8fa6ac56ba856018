// Finding the file of a trace: beside the scenario, in the folder given by --traces or
// V4CAP_TRACES, or among the samples that came with the program.
#pragma once

#include <string>

#include "sim/core/error.h"

namespace v4cap {

struct FoundTrace {
  std::string path;  // to open
  std::string
      given;  // to write into a resolved scenario, so that it is found again from any folder
};

// Throws InputError at `place`, naming the folders searched and, for a known public trace, where to
// get it. `what` is the key ("workload.trace").
FoundTrace find_trace(const std::string& name, const std::string& scenario_dir,
                      const std::string& trace_dir, const Place& place, const std::string& what);

}  // namespace v4cap
