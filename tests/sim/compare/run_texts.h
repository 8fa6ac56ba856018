// Small runs in the forms that tools write them, made by hand for tests.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace v4cap {

struct OneRequest {
  std::string id;
  double start_s = 0, ttft_ms = 0, e2el_ms = 0;
  int prompt = 100, output = 11;
  int hit = 0, rebuilt = 0;
};

inline double tpot_ms_of(const OneRequest& r) {
  return (r.e2el_ms - r.ttft_ms) / (r.output - 1);
}

// A line of profile_export.jsonl.
inline std::string aiperf_line(const OneRequest& r, const std::string& phase = "profiling",
                               const std::string& more_metrics = "",
                               const std::string& error = "null") {
  const auto ns = [](double s) { return static_cast<long long>(s * 1e9); };
  std::string text =
      fmt::format(R"({{"metadata":{{"x_request_id":"{}","request_start_ns":{},"request_end_ns":{},)"
                  R"("benchmark_phase":"{}","was_cancelled":false}},"metrics":{{)",
                  r.id, ns(r.start_s), ns(r.start_s + r.e2el_ms / 1e3), phase);
  text += fmt::format(
      R"("time_to_first_token":{{"value":{},"unit":"ms"}},"request_latency":{{"value":{},"unit":"ms"}},)",
      r.ttft_ms, r.e2el_ms);
  if (r.output > 1) {
    text += fmt::format(R"("inter_token_latency":{{"value":{},"unit":"ms"}},)", tpot_ms_of(r));
  }
  text += fmt::format(
      R"("input_sequence_length":{{"value":{},"unit":"tokens"}},"output_sequence_length":{{"value":{},"unit":"tokens"}}{}}},"error":{}}})",
      r.prompt, r.output, more_metrics, error);
  return text + '\n';
}

// profile_export.jsonl of a run of ours, which has the cache's figures too.
inline std::string our_records(const std::vector<OneRequest>& requests) {
  std::string text;
  for (const OneRequest& r : requests) {
    text += aiperf_line(
        r, "profiling",
        fmt::format(
            R"(,"hit_tokens":{{"value":{},"unit":"tokens"}},"rebuilt_tokens":{{"value":{},"unit":"tokens"}},)"
            R"("recomputed_after_preemption":{{"value":0,"unit":"tokens"}},"preemptions":{{"value":1,"unit":"preemptions"}})",
            r.hit, r.rebuilt));
  }
  return text;
}

// summary.json, what a comparison reads of it; peaks in GiB.
inline std::string our_summary(int finished, double csa_gib, double swa_gib,
                               const std::string& version = "1") {
  return fmt::format(
      "{{\n  \"definitions_version\": \"{}\",\n  \"finished\": {},\n  \"refused\": 0,\n"
      "  \"ttft_ms\": {{\"mean\": 1, \"p50\": 1, \"p90\": null, \"p99\": 1, \"count\": 1}},\n"
      "  \"kv_peak_gib\": {{\"csa\": {}, \"hca\": 0, \"indexer\": 0, \"swa\": {}, \"tails\": 0, "
      "\"kv\": 0}}\n}}\n",
      version, finished, csa_gib, swa_gib);
}

inline const char* kAiperfSummary = R"({
  "schema_version": "1.5",
  "aiperf_version": "0.3.0",
  "benchmark_id": "b",
  "time_to_first_token": {"unit": "ms", "avg": 110, "p50": 100, "p90": 150, "p99": 200, "std": 3},
  "inter_token_latency": {"unit": "ms", "avg": 21, "p50": 20, "p99": 24},
  "inter_chunk_latency": {"unit": "ms", "avg": 41, "p50": 40},
  "request_latency": {"unit": "sec", "avg": 2.5, "p50": 2, "p90": 3, "p99": 4},
  "output_token_throughput": {"unit": "tokens/sec", "avg": 640},
  "total_token_throughput": {"unit": "tokens/sec", "avg": 6400},
  "request_throughput": {"unit": "requests/sec", "avg": 5},
  "request_count": {"unit": "requests", "avg": 50},
  "benchmark_duration": {"unit": "sec", "avg": 10},
  "theoretical_prefix_cache_hit": {"unit": "ratio", "avg": 0.9},
  "input_config": {"endpoint": {"streaming": true}}
}
)";

inline const char* kVllmSummary = R"({"date": "20261122", "backend": "vllm", "model_id": "m",
"num_prompts": 3, "duration": 10.0, "completed": 2, "failed": 1, "total_input_tokens": 200,
"total_output_tokens": 14, "request_throughput": 0.2, "output_throughput": 1.4,
"total_token_throughput": 21.4, "mean_ttft_ms": 150.0, "median_ttft_ms": 150.0,
"std_ttft_ms": 50.0, "p99_ttft_ms": 199.0, "mean_tpot_ms": 12.5, "median_tpot_ms": 12.5,
"p99_tpot_ms": 14.95, "mean_itl_ms": 0.0, "median_itl_ms": 0.0, "p99_itl_ms": 0.0}
)";

// Three requests, the second of which failed. The first: 11 tokens in gaps of 10 ms; the third: 3
// tokens in two chunks, 30 ms apart.
inline std::string vllm_detailed(const std::string& more = "") {
  return R"({"duration": 10.0, "completed": 2, "failed": 1, "request_throughput": 0.2, )"
         R"("output_throughput": 1.4, "total_token_throughput": 21.4, )"
         R"("input_lens": [100, 100, 100], "output_lens": [11, 0, 3], "ttfts": [0.1, 0.0, 0.2], )"
         R"("itls": [[0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], [], [0.03]], )"
         R"("errors": ["", "Bad gateway", ""], "mean_ttft_ms": 150.0, "p99_ttft_ms": 1.0)" +
         more + "}\n";
}

}  // namespace v4cap
