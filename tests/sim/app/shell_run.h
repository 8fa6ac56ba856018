// Other programs run by a test, as a person would in a shell; those that a machine may lack are
// looked for first.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace v4cap {

struct ShellRun {
  int status = 0;   // as wait() has it; 0: fine
  std::string out;  // with standard error
};

inline ShellRun run_shell(const std::string& command) {
  ShellRun run;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> buffer{};
  std::size_t got = 0;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
    run.out.append(buffer.data(), got);
  }
  run.status = ::pclose(pipe);
  return run;
}

// Says so where the program is not there.
inline bool is_installed(const std::string& program) {
  if (run_shell("command -v " + program).status == 0) return true;
  std::printf("[skipped] no %s on this machine\n", program.c_str());
  return false;
}

}  // namespace v4cap
