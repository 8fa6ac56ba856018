// What a trace is, in figures: what `v4cap trace info` prints.
#pragma once

#include "sim/core/quantiles.h"
#include "traces/arrivals.h"
#include "traces/trace.h"

namespace v4cap {

// Arrivals of what arrives by itself: requests that wait for no other (single requests, first
// turns).
struct ArrivalSummary {
  std::int64_t count = 0;
  double span_s = 0;      // from the first to the last
  double mean_per_s = 0;  // count / span
  // Of the minutes from the first on, and at least the mean: of a trace shorter than a minute that.
  double busiest_minute_per_s = 0;
  double gap_cv = 0;  // standard deviation of the gaps over their mean; Poisson has 1
};

struct TraceSummary {
  std::int64_t requests = 0, sessions = 0, groups = 0;
  Tokens block;
  bool has_ids = false, has_arrivals = false;
  double ideal_hit_rate = 0, ideal_hit_rate_with_output = 0;  // meaningful with ids
  Distribution prompt_tokens, output_tokens;
  Distribution turns_per_session, think_s;  // think_s: of requests that wait for another
  ArrivalSummary arrivals;
};

TraceSummary summarize(const Trace& trace);

// Mean, lowest and highest rate of a table.
Distribution summarize(const RateTable& table);

}  // namespace v4cap
