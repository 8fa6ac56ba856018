// What an imported launch means before anything is booted: does it fit, how large are the pools,
// how many requests run; and where a log came with it, how far each figure of the log is from ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/cache/layout.h"
#include "sim/import/import.h"
#include "sim/model/node_memory.h"

namespace v4cap {

// A figure of the log beside ours. Differences are (ours - stated) / stated.
struct LogCheck {
  LogFact stated;
  std::optional<double> ours;  // from the command alone; empty: we have no such figure
  // With the KV memory that the log states: judges the layout without the memory model.
  std::optional<double> ours_with_stated_memory;
};

// Signed, in percent. 0 where the log's ranks differ and ours lies between them.
std::optional<double> difference_percent(const LogFact& stated, std::optional<double> ours);

struct RunningAt {
  Tokens length;
  std::int64_t requests;  // of that length that memory holds at once, on one rank
};

struct LaunchReport {
  std::string misfit;                // why it does not fit, "" = it fits
  std::optional<NodeMemory> memory;  // empty when the command sets KV memory or nothing fits
  Bytes kv_memory;                   // of one GPU
  std::vector<LogFigure> figures;    // what the engine would log
  std::int64_t running_cap = 0;      // of one rank
  std::vector<RunningAt> running;    // by length
  std::vector<LogCheck> log_checks;
};

LaunchReport report_launch(const ImportedLaunch& launch);

}  // namespace v4cap
