// How far a run's figures move when all of its steps take a few percent more or less time, as they
// may where a profile is a few percent off: a request that just meets a step, or just misses it,
// waits for a whole one more, and an evicted prefix is computed again. Some figures move by as much
// as the steps, some by ten times as much; a forecast is worth what its figure moves by.
#pragma once

#include <string>
#include <vector>

#include "sim/app/run_report.h"
#include "sim/cluster/run_scenario.h"
#include "sim/output/json_writer.h"
#include "sim/output/table.h"
#include "traces/trace.h"

namespace v4cap {

struct MarginRow {
  std::string figure;  // as in summary.json, "ttft_ms.p50"
  double here = 0, low = 0, high = 0;
};

struct Margin {
  double percent = 0;           // of step times, shorter and longer
  int runs = 0;                 // `here` among them
  std::vector<MarginRow> rows;  // of figures that the run has
};

// Of twice as much steps would take no time.
inline constexpr double kMostMarginPercent = 50;

// Runs the scenario with all steps `percent` % and half as much shorter and longer. `trace` is that
// of `run`. Throws Simulation::Interrupted when `progress` asks to stop.
Margin margin_of(const FinishedRun& run, const Trace& trace, double percent, unsigned threads,
                 const ProgressFunction& progress);

std::string margin_text(const Margin& margin, const TextStyle& style);
void write_margin(JsonWriter& json, const Margin& margin);  // member "margin"

}  // namespace v4cap
