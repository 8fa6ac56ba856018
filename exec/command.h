// The commands of v4exec. Data goes to stdout, progress and messages to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/error.h"

namespace v4cap::exec {

struct CheckOptions {
  int device = 0;
  std::uint64_t seed = 0;              // 0: fresh, from the clock, and printed
  std::vector<std::string> operators;  // empty: all
  std::string version;                 // only this one
  bool small = false;                  // only cases that are quick under compute-sanitizer
  bool json = false;
};
ExitCode run_check(const CheckOptions& options);

struct BenchOptions {
  int device = 0;
  std::vector<std::string> operators;
  std::string version;
  std::string match;      // only cases whose name holds this
  std::string json_file;  // tables are written here too; "-": to stdout, and nothing else
  double seconds = 0.02;  // measured time of a case, cold and warm each
};
ExitCode run_bench(const BenchOptions& options);

struct DumpOptions {
  int device = 0;
  std::uint64_t seed = 1;
  bool portable = false;  // only portable versions
  std::string folder;     // must be empty or new
};
ExitCode run_dump(const DumpOptions& options);

}  // namespace v4cap::exec
