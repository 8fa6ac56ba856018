// The result of `vllm bench serve --save-result --save-detailed`: statistics in ms, lists with one
// entry a request in seconds. Of itl there is nothing, as single gaps are not kept. Dates are those
// of simulated time, which begins in 1970.
#include "sim/output/export_format.h"
#include "sim/output/json_writer.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

constexpr double kNsPerSecond = 1e9;

double seconds(Duration time) {
  return static_cast<double>(time.count()) / kNsPerSecond;
}

void write_statistics(JsonWriter& json, const std::string& name, const Distribution& d) {
  if (d.count == 0) return;
  json.member("mean_" + name + "_ms", d.mean).member("median_" + name + "_ms", d.p50);
  json.member("std_" + name + "_ms", d.stddev).member("p90_" + name + "_ms", d.p90);
  json.member("p99_" + name + "_ms", d.p99);
}

// A list with what `of` says of each request; one that has not finished has 0, as the tool leaves it.
template <class Of>
void write_list(JsonWriter& json, const char* name, const RunResult& result, const Of& of) {
  json.key(name).begin_array();
  for (const RequestRecord& record : result.records) json.value(of(record));
  json.end_array();
}

void write_lists(JsonWriter& json, const RunResult& result) {
  const auto lost = [](const RequestRecord& r) { return r.end != RequestEnd::finished; };
  write_list(json, "input_lens", result, [](const RequestRecord& r) { return r.prompt.value; });
  write_list(json, "output_lens", result,
             [&](const RequestRecord& r) { return lost(r) ? std::int64_t{0} : r.output.value; });
  write_list(json, "ttfts", result, [&](const RequestRecord& r) {
    return lost(r) ? 0.0 : seconds(r.first_token - r.arrival);
  });
  write_list(json, "latencies", result, [&](const RequestRecord& r) {
    return lost(r) ? 0.0 : seconds(r.finished - r.arrival);
  });
  write_list(json, "start_times", result,
             [](const RequestRecord& r) { return seconds(r.arrival.time_since_epoch()); });
  write_list(json, "errors", result, [](const RequestRecord& r) {
    return r.end == RequestEnd::finished ? "" : r.end == RequestEnd::refused ? "refused" : "failed";
  });
}

std::string write(const ExportedRun& run) {
  const Metrics& m = run.summary.metrics;
  const WorkloadConfig& workload = run.scenario.workload;
  JsonWriter json(1);
  json.begin_object().member("date", "19700101-000000").member("backend", "v4cap");
  json.member("label", run.summary.identity.scenario);
  json.member("model_id", run.summary.identity.model);
  json.member("tokenizer_id", run.summary.identity.model);
  json.member("source", "simulated").member("simulator_version", simulator_version());
  json.member("num_prompts", m.requests);
  if (workload.arrivals == ArrivalMode::poisson) {
    json.member("request_rate", workload.rate_per_s);
  } else {
    json.member("request_rate", "inf");
  }
  json.member("burstiness", 1.0).member("max_concurrency", stated_concurrency(workload));
  json.member("duration", seconds(m.duration)).member("completed", m.finished);
  json.member("failed", m.refused + m.failed).member("total_input_tokens", m.prompt.value);
  json.member("total_output_tokens", m.output.value);
  json.member("request_throughput", m.request_throughput.value_or(0));
  json.member("output_throughput", m.output_token_throughput.value_or(0));
  json.member("total_token_throughput", m.total_token_throughput.value_or(0));
  write_statistics(json, "ttft", m.time_to_first_token_ms);
  write_statistics(json, "tpot", m.inter_token_latency_ms);
  write_statistics(json, "e2el", m.request_latency_ms);
  write_lists(json, run.result);
  json.end_object();
  return json.text() + '\n';
}

[[maybe_unused]] const bool registered =
    ExportFormats::add("vllm-bench", {"vllm_bench.json", write});

}  // namespace

std::optional<std::int64_t> stated_concurrency(const WorkloadConfig& workload) {
  if (workload.bench_serving) return workload.bench_serving->run.concurrency;
  if (workload.arrivals == ArrivalMode::client) return workload.concurrency;
  if (workload.arrivals == ArrivalMode::closed_loop) return workload.sessions_at_a_time;
  return std::nullopt;
}

}  // namespace v4cap
