// A row of InferenceX's tables, what its pipeline makes of one benchmark: times in seconds,
// throughput of one GPU, and interactivity, the inverse of the same statistic of TPOT. isl and osl
// are those of a benchmark client, else the means over requests. Attention ranks count into tp, as
// there: its GPUs are tp x pp x pcp_size.
#include <algorithm>
#include <cmath>

#include "sim/output/export_format.h"
#include "sim/output/json_writer.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

constexpr double kMsPerSecond = 1000;
// Bytes of a parameter below which experts are in a 4-bit format with its scales.
constexpr double kFp4BytesMax = 0.75;
constexpr double kFp8BytesMax = 1.5;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string precision(const WeightFormat& weights) {
  if (weights.expert_bytes < kFp4BytesMax) return "fp4";
  return weights.expert_bytes < kFp8BytesMax ? "fp8" : "bf16";
}

void write_statistics(JsonWriter& json, const std::string& name, const Distribution& d) {
  if (d.count == 0) return;
  json.member("mean_" + name, d.mean / kMsPerSecond);
  json.member("median_" + name, d.p50 / kMsPerSecond);
  json.member("std_" + name, d.stddev / kMsPerSecond);
  json.member("p90_" + name, d.p90 / kMsPerSecond).member("p99_" + name, d.p99 / kMsPerSecond);
}

void write_interactivity(JsonWriter& json, const Distribution& tpot) {
  const auto inverse = [&](const char* name, double ms) {
    if (ms > 0) json.member(name, kMsPerSecond / ms);
  };
  if (tpot.count == 0) return;
  inverse("mean_intvty", tpot.mean);
  inverse("median_intvty", tpot.p50);
  inverse("p90_intvty", tpot.p90);
  inverse("p99_intvty", tpot.p99);
}

std::string write(const ExportedRun& run) {
  const Scenario& s = run.scenario;
  const Metrics& m = run.summary.metrics;
  const auto& client = s.workload.bench_serving;
  const auto mean = [](const Distribution& d) {
    return static_cast<std::int64_t>(std::llround(d.mean));
  };
  JsonWriter json(2);
  json.begin_object().member("hw", lower(s.hardware.gpu.name));
  json.member("conc", stated_concurrency(s.workload));
  json.member("image", "v4cap:" + std::string(simulator_version()));
  json.member("model", run.summary.identity.model);
  json.member("infmax_model_prefix", s.model.measured_as);
  json.member("framework", run.summary.identity.layout);
  json.member("precision", precision(s.model.weights));
  json.member("spec_decoding", s.engine.draft_tokens > 0 ? "mtp" : "none");
  json.member("disagg", false).member("is_multinode", run.summary.gpus > s.hardware.gpus_per_node);
  json.member("isl", client ? client->input.value : mean(m.input_sequence_length));
  json.member("osl", client ? client->output.value : mean(m.output_sequence_length));
  json.member("tp", run.summary.gpus).member("pp", 1).member("dcp_size", 1).member("pcp_size", 1);
  json.member("ep", s.deployment.expert_parallel);
  json.member("dp_attention", s.deployment.data_parallel > 1);
  json.member("source", "simulated");
  if (m.per_gpu) {
    const double input = m.per_gpu->cached + m.per_gpu->computed;
    json.member("tput_per_gpu", input + m.per_gpu->output);
    json.member("input_tput_per_gpu", input).member("output_tput_per_gpu", m.per_gpu->output);
  }
  write_statistics(json, "ttft", m.time_to_first_token_ms);
  write_statistics(json, "tpot", m.inter_token_latency_ms);
  write_statistics(json, "e2el", m.request_latency_ms);
  write_interactivity(json, m.inter_token_latency_ms);
  json.end_object();
  return json.text() + '\n';
}

[[maybe_unused]] const bool registered =
    ExportFormats::add("inferencex", {"inferencex_row.json", write});

}  // namespace

}  // namespace v4cap
