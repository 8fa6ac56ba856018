// What engines logged about their KV cache: the rows of capacity.csv.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/app/case_rows.h"
#include "sim/core/error.h"

namespace v4cap {

// One row. Empty cells are nullopt or "".
struct CapacityCase {
  Place place;
  std::string id, engine, engine_version, model, gpu;
  std::int64_t gpus = 1, tensor_parallel = 1, data_parallel = 1, expert_parallel = 1;
  std::string speculative;                 // "none", "mtp", "eagle-3-1-4", "dspark"
  std::string indexer;                     // "fp8", "fp4"
  std::optional<double> kv_available_gib;  // left for KV on each GPU, as logged
  std::optional<double> fixed_gib;         // of that, taken before tokens are counted
  std::optional<double> swa_full_tokens_ratio;
  std::optional<double> memory_fraction;
  std::optional<std::int64_t> max_model_len, max_batched_tokens, steps_in_flight;
  std::string metric;
  double value = 0;
  std::string note;
};

// Is this table one of them?
bool is_capacity_table(const CaseRows& rows);
// Throws InputError with file, line and column for a cell that cannot be.
std::vector<CapacityCase> capacity_cases(const CaseRows& rows);

}  // namespace v4cap
