// Directories of runs, made by hand for tests of the report.
#pragma once

#include <fmt/format.h>

#include <string>

#include "sim/core/json.h"
#include "tests/sim/compare/run_texts.h"
#include "tests/temp_dir.h"

namespace v4cap {

struct RunText {
  std::string scenario = "chat", policy = "full";
  bool saturated = false;
  double tpot_ms = 20, output_tok_s_per_gpu = 100;
  std::string more = "";  // members of summary.json, each after a comma
};

// What the report reads of summary.json.
inline std::string summary_text(const RunText& run) {
  return fmt::format(
      R"({{"definitions_version": "1", "scenario": {}, "model": "m", "hardware": "h", "gpus": 2, "policy": {}, "layout": "ideal",)"
      R"( "seed": 1, "requests": 40, "finished": 40, "request_s": 2.0, "mean_in_system": 3.0,)"
      R"( "hit_rate": 0.5, "prompt_tokens": 4000, "hit_tokens": 2000, "computed_tokens": 2000,)"
      R"( "rebuilt_tokens": 0, "ttft_ms": {{"p50": 100, "p99": 300, "mean": 110}},)"
      R"( "tpot_ms": {{"p50": {}, "p99": 40, "mean": 22}}, "tok_s_per_gpu": {{"cached": 10,)"
      R"( "computed": 10, "output": {}}}, "kv_capacity_gib": 2.0,)"
      R"( "kv_peak_gib": {{"csa": 0.5, "hca": 0, "indexer": 0, "swa": 1, "tails": 0, "kv": 0}}, "saturated": {},)"
      R"( "binding_constraint": "prefill", "binding_share": 0.5, "verdict": "Prefill binds."{}}})",
      json_quoted(run.scenario), json_quoted(run.policy), run.tpot_ms, run.output_tok_s_per_gpu,
      run.saturated, run.more);
}

// 40 requests, one every `gap_s`, that take a second each.
inline std::string requests_text(double gap_s) {
  std::vector<OneRequest> requests;
  for (int i = 0; i < 40; ++i) {
    requests.push_back({.id = fmt::format("r{}", i),
                        .start_s = gap_s * i,
                        .ttft_ms = 100.0 + i,
                        .e2el_ms = 1000,
                        .hit = 50});
  }
  return our_records(requests);
}

inline constexpr const char* kTimeline =
    "time_s,running,waiting,csa_in_use_bytes,csa_cached_bytes,swa_in_use_bytes,swa_cached_bytes\n"
    "0,1,0,268435456,0,0,0\n"
    "5,2,1,268435456,268435456,536870912,0\n"
    "10,1,0,0,536870912,0,1073741824\n";

// A folder `name` with a summary, requests and a time line; its path.
inline std::string write_folder(const TempDir& dir, const std::string& name, const RunText& run,
                                double gap_s = 0.5) {
  dir.write(name + "/summary.json", summary_text(run));
  dir.write(name + "/profile_export.jsonl", requests_text(gap_s));
  dir.write(name + "/timeline.csv", kTimeline);
  return dir / name;
}

}  // namespace v4cap
