// Tables of published measurements: what an engine logged about its KV cache (capacity.csv). Told
// by their header; columns may come in any order, further ones are ignored.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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

// Reads the file. Throws InputError with file, line and column for anything malformed, and for a
// table of serving measurements, which nothing here predicts yet.
std::vector<CapacityCase> read_capacity_cases(const std::string& path);

// Fields of one line of CSV with quotes ("" is a quote inside them). Throws InputError at `place`,
// with the column where a quote is not closed or followed by something else than a comma.
std::vector<std::string> csv_fields(const std::string& line, Place place);

}  // namespace v4cap
