// The program run in the process, as a person would type it.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "sim/app/v4cap_program.h"

namespace v4cap {

struct ProgramRun {
  ExitCode code;
  std::string out, err;
};

inline ProgramRun run_v4cap(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const ExitCode code = run_program(kV4cap, arguments, out, err, false, false);
  return {code, out.str(), err.str()};
}

}  // namespace v4cap
