// A window of a run as a trace for Perfetto (ui.perfetto.dev) and Chrome's viewer, in the JSON that
// both read: requests as asynchronous slices with their waiting, prefill and decode, steps as slices
// of one track where the run has a log of them, memory, queue and batch as counters. Times are in
// microseconds of the run.
#pragma once

#include <string>

#include "sim/report/report_run.h"

namespace v4cap {

struct TraceWindow {
  double from_s = 0, to_s = 0;
};

// "60..75" or "1 min..75 s": seconds, or times with their unit. Throws InputError.
TraceWindow parse_window(const std::string& text);

// The viewers become slow beyond this.
inline constexpr std::int64_t kTraceEventsMax = 200'000;

// Everything that is in the window at least in part. Throws InputError when that is nothing or more
// than kTraceEventsMax events, with the events that there are.
std::string perfetto_trace(const ReportRun& run, const TraceWindow& window);

}  // namespace v4cap
