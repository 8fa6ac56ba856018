// Published serving runs: the rows of serving.csv. Each carries an engine's launch and its client,
// `sglang.bench_serving --dataset-name random`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/app/case_rows.h"

namespace v4cap {

// One row. Empty cells are nullopt or "": the engine's default.
struct ServingCase {
  Place place;
  std::string id, engine, engine_version, gpu, model, weights, strategy;
  std::int64_t gpus = 1, tensor_parallel = 1, data_parallel = 1;  // tensor_parallel: all GPUs
  std::string moe_backend, speculative;
  std::optional<double> memory_fraction, swa_full_tokens_ratio;
  std::optional<std::int64_t> prefill_chunk, max_running, graph_max_batch;
  std::string note;
  std::int64_t concurrency = 1, prompts = 1;
  std::int64_t longest_input = 1, longest_output = 1;  // uniform from 1
  std::string coverage;
  std::optional<double> ttft_ms, tpot_ms, output_tok_s_per_gpu, total_tok_s_per_gpu;

  // The same server: everything but the client.
  bool same_launch(const ServingCase& other) const;
};

bool is_serving_table(const CaseRows& rows);
// Throws InputError with file, line and column for a cell that cannot be.
std::vector<ServingCase> serving_cases(const CaseRows& rows);

}  // namespace v4cap
