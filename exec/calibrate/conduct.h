// The calibration as a whole: which families there are to measure, a child process for each, and
// what became of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exec/calibrate/child.h"
#include "exec/calibrate/run_family.h"

namespace v4cap::exec::calibrate {

struct PlannedFamily {
  std::string name;
  std::size_t points = 0, on_disk = 0;
  bool complete = false;
  double seconds = 0;  // of what is left, by estimate
};

// Registered families, those of `chosen` when it has names, that have points for this rank.
// InputError for an unknown name. Looks at what is on disk unless `job.folder` is empty, and
// refuses it as run_family does.
std::vector<PlannedFamily> plan(const std::vector<std::string>& chosen, const Rank& rank,
                                GridSize size, const FamilyJob& job);

// Removes what is on disk of these families, or of all when there are none.
void discard(const std::string& folder, const std::vector<std::string>& families);

enum class FamilyOutcome : std::uint8_t { complete, out_of_time, failed };

struct FamilyReport {
  std::string family;
  FamilyOutcome outcome = FamilyOutcome::complete;
  std::size_t points = 0, measured = 0, refused = 0, marked = 0;
  double seconds = 0;                   // of its process; 0: it was complete before
  std::string kind = {}, message = {};  // of a failure: killed, timed_out, or what the child said
};

struct Report {
  std::vector<FamilyReport> families;
  bool out_of_time = false, interrupted = false;
};

// Arguments of the child that measures `family`; it knows the rest by what it was made with.
using ChildArguments =
    std::function<std::vector<std::string>(const std::string& family, double seconds_left)>;

// Measures what `planned` leaves open, in its order. `say` gets a line for each family. Goes on
// after a family that failed, unless what it said concerns them all: no GPU, a shared GPU, a full
// disk.
Report conduct(const std::vector<PlannedFamily>& planned, const FamilyJob& job,
               const ChildArguments& arguments, Children& children, double quiet_limit_s,
               const Pace& pace, const std::function<void(const std::string&)>& say);

}  // namespace v4cap::exec::calibrate
