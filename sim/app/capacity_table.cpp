#include "sim/app/capacity_table.h"

namespace v4cap {

namespace {

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = {"id",
                                                 "engine",
                                                 "engine_version",
                                                 "model",
                                                 "gpu",
                                                 "gpus",
                                                 "tp",
                                                 "dp",
                                                 "ep",
                                                 "speculative",
                                                 "indexer_dtype",
                                                 "kv_available_gib",
                                                 "fixed_gib",
                                                 "swa_full_tokens_ratio",
                                                 "gpu_memory_utilization",
                                                 "max_model_len",
                                                 "max_batched_tokens",
                                                 "steps_in_flight",
                                                 "metric",
                                                 "value"};
  return names;
}

CapacityCase read_row(const CaseRow& row) {
  const auto width = between<std::int64_t>(1, 100'000);
  const auto tokens = between<std::int64_t>(1, 1'000'000'000);
  const auto gib = between(0.0, 1e6);
  CapacityCase c;
  c.place = row.place();
  c.id = row.required("id");
  c.engine = row.required("engine");
  c.engine_version = row.text("engine_version");
  c.model = row.required("model");
  c.gpu = row.text("gpu");
  c.tensor_parallel = row.number("tp", width).value_or(1);
  c.data_parallel = row.number("dp", width).value_or(1);
  c.expert_parallel = row.number("ep", width).value_or(1);
  c.gpus = row.number("gpus", width).value_or(c.tensor_parallel * c.data_parallel);
  c.speculative = row.text("speculative");
  c.indexer = row.text("indexer_dtype");
  c.kv_available_gib = row.number("kv_available_gib", gib);
  c.fixed_gib = row.number("fixed_gib", gib);
  c.swa_full_tokens_ratio = row.number("swa_full_tokens_ratio", between(0.0, 1.0));
  c.memory_fraction = row.number("gpu_memory_utilization", above_up_to(0.0, 1.0));
  c.max_model_len = row.number("max_model_len", tokens);
  c.max_batched_tokens = row.number("max_batched_tokens", tokens);
  c.steps_in_flight = row.number("steps_in_flight", between<std::int64_t>(1, 16));
  c.metric = row.required("metric");
  c.value = row.required_number("value", above(0.0));
  c.note = row.text("note");
  return c;
}

}  // namespace

bool is_capacity_table(const CaseRows& rows) {
  return rows.has("metric") && rows.has("value");
}

std::vector<CapacityCase> capacity_cases(const CaseRows& rows) {
  rows.require(columns());
  std::vector<CapacityCase> cases;
  for (const CaseRow& row : rows.rows) cases.push_back(read_row(row));
  return cases;
}

}  // namespace v4cap
