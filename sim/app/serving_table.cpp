#include "sim/app/serving_table.h"

#include <tuple>

namespace v4cap {

namespace {

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = {"id",
                                                 "engine",
                                                 "engine_version",
                                                 "hw",
                                                 "gpus",
                                                 "model",
                                                 "weights",
                                                 "strategy",
                                                 "tp",
                                                 "dp_attention",
                                                 "moe_backend",
                                                 "speculative",
                                                 "mem_fraction",
                                                 "prefill_chunk",
                                                 "swa_full_tokens_ratio",
                                                 "max_running_requests",
                                                 "cuda_graph_max_batch",
                                                 "concurrency",
                                                 "num_prompts",
                                                 "input_len",
                                                 "output_len",
                                                 "ttft_ms_mean",
                                                 "tpot_ms_mean",
                                                 "output_tok_s_per_gpu"};
  return names;
}

// N of "uniform(1,N)".
std::int64_t longest(const CaseRow& row, const std::string& column) {
  const std::string text = row.required(column);
  constexpr std::string_view kBegin = "uniform(1,";
  std::string hint;
  if (text.starts_with(kBegin) && text.ends_with(')')) {
    const auto number = parse_value<std::int64_t>(
        text.substr(kBegin.size(), text.size() - kBegin.size() - 1), hint);
    if (number && *number >= 1 && *number <= 16'777'216) return *number;
  }
  row.refuse(column, "uniform(1,N), lengths of the random data set");
}

ServingCase read_row(const CaseRow& row) {
  const auto count = between<std::int64_t>(1, 10'000'000);
  const auto width = between<std::int64_t>(1, 1024);
  ServingCase c;
  c.place = row.place();
  c.id = row.required("id");
  c.engine = row.required("engine");
  c.engine_version = row.text("engine_version");
  c.gpu = row.required("hw");
  c.gpus = row.required_number("gpus", width);
  c.model = row.required("model");
  c.weights = row.required("weights");
  c.strategy = row.required("strategy");
  c.tensor_parallel = row.required_number("tp", width);
  c.data_parallel = row.required_number("dp_attention", width);
  if (c.tensor_parallel % c.data_parallel != 0) row.refuse("dp_attention", "a divisor of tp");
  c.moe_backend = row.text("moe_backend");
  c.speculative = row.text("speculative");
  c.memory_fraction = row.number("mem_fraction", above_up_to(0.0, 1.0));
  c.prefill_chunk = row.number("prefill_chunk", count);
  c.swa_full_tokens_ratio = row.number("swa_full_tokens_ratio", between(0.0, 1.0));
  c.max_running = row.number("max_running_requests", count);
  c.graph_max_batch = row.number("cuda_graph_max_batch", count);
  c.note = row.text("note");
  c.concurrency = row.required_number("concurrency", count);
  c.prompts = row.required_number("num_prompts", count);
  c.longest_input = longest(row, "input_len");
  c.longest_output = longest(row, "output_len");
  c.coverage = row.text("table_coverage");
  if (c.coverage.empty()) c.coverage = "not stated";
  c.ttft_ms = row.number("ttft_ms_mean", above(0.0));
  c.tpot_ms = row.number("tpot_ms_mean", above(0.0));
  c.output_tok_s_per_gpu = row.number("output_tok_s_per_gpu", above(0.0));
  // Where the output was not stated, the nominal total is what was measured.
  if (!c.output_tok_s_per_gpu) {
    c.total_tok_s_per_gpu = row.number("nominal_total_tok_s_per_gpu", above(0.0));
  }
  return c;
}

}  // namespace

bool ServingCase::same_launch(const ServingCase& o) const {
  const auto launch = [](const ServingCase& c) {
    return std::tie(c.engine, c.engine_version, c.gpu, c.gpus, c.model, c.weights, c.strategy,
                    c.tensor_parallel, c.data_parallel, c.moe_backend, c.speculative,
                    c.memory_fraction, c.swa_full_tokens_ratio, c.prefill_chunk, c.max_running,
                    c.graph_max_batch, c.note);
  };
  return launch(*this) == launch(o) && longest_input == o.longest_input &&
         longest_output == o.longest_output;
}

bool is_serving_table(const CaseRows& rows) {
  return rows.has("ttft_ms_mean") || rows.has("tpot_ms_mean");
}

std::vector<ServingCase> serving_cases(const CaseRows& rows) {
  rows.require(columns());
  std::vector<ServingCase> cases;
  for (const CaseRow& row : rows.rows) cases.push_back(read_row(row));
  return cases;
}

}  // namespace v4cap
