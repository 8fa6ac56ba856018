// A run in the form of a benchmark tool's own result file, so that what reads the tool's results
// reads ours: `v4cap simulate --export NAME`. One file each, registered by name. AIPerf's files need
// no export, they are in every run directory (aiperf.h).
#pragma once

#include <string>
#include <string_view>

#include "sim/config/scenario.h"
#include "sim/core/registry.h"
#include "sim/output/record.h"
#include "sim/output/run_summary.h"

namespace v4cap {

struct ExportedRun {
  const Scenario& scenario;
  const RunResult& result;
  const RunSummary& summary;
};

struct ExportFormat {
  std::string_view file;                         // name in the run directory
  std::string (*write)(const ExportedRun& run);  // its whole content
};
using ExportFormats = Registry<ExportFormat>;

// Requests in flight that the workload's client keeps up, or sessions of a closed loop; nothing
// where requests come by themselves.
std::optional<std::int64_t> stated_concurrency(const WorkloadConfig& workload);

}  // namespace v4cap
