// What the results of vLLM's and SGLang's serving benchmarks have in common: statistics of a latency
// under {mean,median,p<NN>}_<key>, and lists with one entry a request in seconds: ttfts, itls (a list
// of gaps each), output_lens, errors ("" where it went well) and in newer versions latencies. From
// the lists every statistic is computed here, so that a p90 is there which the tool was not asked
// for; without `latencies` a request took its ttft and the sum of its gaps, which is how the tools
// come to their own latency. Requests have no ids.
#pragma once

#include <string>

#include "sim/compare/measured_run.h"
#include "sim/core/json.h"

namespace v4cap {

// `key`: "ttft_ms". A statistic of 0 is left out: it is numpy's mean of nothing.
void read_bench_statistics(JsonValue document, MeasuredRun& run, Latency latency,
                           const std::string& key);

// Nothing where the document has no `ttfts`.
void read_bench_details(JsonValue document, MeasuredRun& run);

}  // namespace v4cap
