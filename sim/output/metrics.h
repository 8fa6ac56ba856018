// The one definition of every figure that we print. Names are AIPerf's metric tags; tables show
// vLLM's abbreviations. Times in ms, measured from the arrival of the request at the server (a
// simulator has no client, so no client-side queue hides in front of it).
//
//   tag                               table   per request                               left out
//   time_to_first_token               TTFT    first token - arrival                     output 0
//   time_to_second_token              TTST    second token - first token                output < 2
//   inter_token_latency               TPOT    (E2EL - TTFT) / (output - 1)              output < 2
//   request_latency                   E2EL    finished - arrival                        -
//   output_token_throughput_per_user  -       1000 / inter_token_latency                output < 2
//   input_/output_sequence_length     ISL/OSL tokens                                    -
//   request_queue_time                -       first admission - arrival                 -
//
// Refused and failed requests are in none of these. TPOT is the mean gap of a request without its first token,
// as in vLLM's and SGLang's `tpot`; GuideLLM's time_per_output_token_ms is another thing (it counts
// the first). The pooled distribution of single gaps (vLLM's `itl`) would need a time per token,
// which is not kept. Rates are over the duration: first arrival of any request to the last finish.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "sim/core/quantile_sketch.h"
#include "sim/core/quantiles.h"
#include "sim/core/time.h"
#include "sim/core/units.h"
#include "sim/output/record.h"

namespace v4cap {

// Milliseconds rounded once. A multiplication by 1e-6 rounds twice and prints 255886568 ns as
// 255.88656799999998.
double exact_ms(Duration time);

std::optional<double> time_to_first_token_ms(const RequestRecord& record);
std::optional<double> time_to_second_token_ms(const RequestRecord& record);
std::optional<double> inter_token_latency_ms(const RequestRecord& record);
std::optional<double> request_latency_ms(const RequestRecord& record);
std::optional<double> request_queue_time_ms(const RequestRecord& record);
// Tokens a second that one user sees; nothing when the gaps take no time at all.
std::optional<double> output_token_throughput_per_user(const RequestRecord& record);

// Tokens a second of one GPU. cached + computed is InferenceX's input_tput_per_gpu, all three are
// its tput_per_gpu. Rebuilt and recomputed tokens are work, not service: they are in none.
struct PerGpuThroughput {
  double cached = 0, computed = 0, output = 0;
};

// Sums run over finished requests.
struct Metrics {
  std::int64_t requests = 0, finished = 0, refused = 0, failed = 0, preemptions = 0;
  Tokens prompt, hit, computed, rebuilt, recomputed_after_preemption, output;
  Duration duration{};  // 0 when nothing finished

  Distribution time_to_first_token_ms, time_to_second_token_ms, inter_token_latency_ms;
  Distribution request_latency_ms, request_queue_time_ms;
  Distribution output_token_throughput_per_user;
  Distribution input_sequence_length, output_sequence_length;

  // Empty when their denominator is 0.
  std::optional<double> hit_rate;  // hit / prompt, 0..1
  std::optional<double> request_throughput, output_token_throughput,
      total_token_throughput;  // per s
  std::optional<PerGpuThroughput> per_gpu;

  // Of quantiles, relative; 0: they are exact.
  double quantile_error = 0;

  Tokens net_saved() const { return hit - rebuilt; }
};

// What metrics are made of in a run whose records are not kept: sums, and sketches of the
// distributions, in memory that does not grow with the requests.
class MetricsDigest {
 public:
  void add(const RequestRecord& record);
  // Sums and distributions, without rates.
  Metrics metrics() const;

 private:
  Metrics sums_;
  SimTime first_ = SimTime::max(), last_ = SimTime::min();
  std::array<QuantileSketch, 8> sketches_;  // in the order of Metrics
};

// From the run's records or, where none are kept, from their digest. Stops the program when they and
// the totals of the run disagree.
Metrics compute_metrics(const RunResult& result);

}  // namespace v4cap
