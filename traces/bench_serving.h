// What `sglang.bench_serving --dataset-name random` sends: the lengths that its seed gives, in its
// order, and its runs one after the other on a server whose prefix cache it does not empty.
//
// Lengths. The client seeds NumPy's legacy generator (MT19937, init_genrand) and draws first all
// input lengths, then all output lengths, each from max(1, int(length x range_ratio)) to length,
// with masked rejection on 32-bit words. Runs with one seed therefore have the same input lengths as
// far as both go, and, as the texts behind them are shuffled with the same seed too, the same
// prompts: what an earlier run left in the prefix cache is found again.
//
// Source: sgl-project/sglang, python/sglang/bench_serving.py; numpy/random/mtrand.pyx.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/units.h"
#include "traces/trace.h"

namespace v4cap {

// One run of the client: `prompts` requests, at most `concurrency` of them in flight.
struct BenchRun {
  std::int64_t prompts = 0, concurrency = 0;
};

struct BenchServingSpec {
  BenchRun run;
  std::vector<BenchRun> earlier;     // on the same server, first one first
  Tokens input{1024}, output{1024};  // longest; the client's --random-input-len and -output-len
  double range_ratio = 0;            // in [0, 1]
  std::uint32_t seed = 1;
  // Copies of the first prompt that are sent before each run, with at most 32 output tokens each.
  std::int64_t warmup_requests = 0;
  // The requests that a run sends at once, its first `concurrency` ones, reach the server in an order
  // of their own, drawn from the seed for each run. Else in the client's order.
  bool burst_shuffled = false;
  Tokens block{64};
};

// Lengths of `count` prompts and of their outputs.
struct BenchLengths {
  std::vector<std::int64_t> input, output;
};
BenchLengths bench_lengths(std::int64_t count, const BenchServingSpec& spec);

// The requests of all runs in order, with Trace::phases. Throws InputError (without a place) when
// the numbers contradict themselves.
Trace bench_serving_trace(const BenchServingSpec& spec);

}  // namespace v4cap
