// profile_export_aiperf.json: one run in one document.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <string_view>

#include "sim/output/aiperf.h"
#include "sim/output/json_writer.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

// Simulated time as AIPerf's UTC dates, to the microsecond.
std::string date(SimTime at) {
  using namespace std::chrono;
  const auto us = floor<microseconds>(at.time_since_epoch());
  const auto day = floor<days>(us);
  const year_month_day ymd{sys_days{day}};
  const hh_mm_ss time{us - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(ymd.year()),
                     static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

// A record metric: the full set of statistics. Absent when it applied to no request.
void write_distribution(JsonWriter& json, std::string_view tag, std::string_view unit,
                        const Distribution& d) {
  if (d.count == 0) return;
  const double n = static_cast<double>(d.count);
  // Of a single observation there is no sample deviation; 0 keeps the field present.
  const double sample_stddev = d.count > 1 ? d.stddev * std::sqrt(n / (n - 1)) : 0;
  json.key(tag).begin_object();
  json.member("unit", unit).member("avg", d.mean).member("min", d.min).member("max", d.max);
  json.member("p1", d.p1).member("p5", d.p5).member("p10", d.p10).member("p25", d.p25);
  json.member("p50", d.p50).member("p75", d.p75).member("p90", d.p90).member("p95", d.p95);
  json.member("p99", d.p99).member("std", sample_stddev);
  json.member("count", d.count).member("sum", d.sum);
  json.end_object();
}

// A derived metric: unit and avg only.
template <class T>
void write_scalar(JsonWriter& json, std::string_view tag, std::string_view unit, const T& value) {
  json.key(tag).begin_object().member("unit", unit).member("avg", value).end_object();
}

void write_scalar(JsonWriter& json, std::string_view tag, std::string_view unit,
                  const std::optional<double>& value) {
  if (value) write_scalar(json, tag, unit, *value);
}

void write_distributions(JsonWriter& json, const Metrics& m) {
  write_distribution(json, "time_to_first_token", "ms", m.time_to_first_token_ms);
  write_distribution(json, "time_to_second_token", "ms", m.time_to_second_token_ms);
  write_distribution(json, "request_latency", "ms", m.request_latency_ms);
  write_distribution(json, "inter_token_latency", "ms", m.inter_token_latency_ms);
  write_distribution(json, "full_response_inter_token_latency", "ms", m.inter_token_latency_ms);
  write_distribution(json, "output_token_throughput_per_user", "tokens/sec/user",
                     m.output_token_throughput_per_user);
  write_distribution(json, "input_sequence_length", "tokens", m.input_sequence_length);
  write_distribution(json, "output_sequence_length", "tokens", m.output_sequence_length);
  write_distribution(json, "request_queue_time", "ms", m.request_queue_time_ms);
}

void write_scalars(JsonWriter& json, const Metrics& m) {
  write_scalar(json, "request_count", "requests", m.finished);
  write_scalar(json, "error_request_count", "requests", m.refused + m.failed);
  write_scalar(json, "benchmark_duration", "sec", exact_ms(m.duration) / 1e3);
  write_scalar(json, "request_throughput", "requests/sec", m.request_throughput);
  write_scalar(json, "output_token_throughput", "tokens/sec", m.output_token_throughput);
  write_scalar(json, "total_token_throughput", "tokens/sec", m.total_token_throughput);
  write_scalar(json, "total_isl", "tokens", m.prompt.value);
  write_scalar(json, "total_osl", "tokens", m.output.value);
  // Ours, not AIPerf's.
  write_scalar(json, "total_hit_tokens", "tokens", m.hit.value);
  write_scalar(json, "total_computed_tokens", "tokens", m.computed.value);
  write_scalar(json, "total_rebuilt_tokens", "tokens", m.rebuilt.value);
  write_scalar(json, "total_recomputed_after_preemption", "tokens",
               m.recomputed_after_preemption.value);
  write_scalar(json, "prefix_cache_hit_rate", "ratio", m.hit_rate);
  if (!m.per_gpu) return;
  write_scalar(json, "cached_tput_per_gpu", "tokens/sec/gpu", m.per_gpu->cached);
  write_scalar(json, "computed_tput_per_gpu", "tokens/sec/gpu", m.per_gpu->computed);
  write_scalar(json, "output_tput_per_gpu", "tokens/sec/gpu", m.per_gpu->output);
}

void write_run_info(JsonWriter& json, const RunSummary& summary, const std::string& run_id) {
  json.key("run_info").begin_object();
  json.member("benchmark_id", run_id).member("sweep_id", nullptr);
  json.member("random_seed", summary.identity.seed).member("trial", 0);
  json.member("run_label", summary.identity.scenario).member("variation_label", "base");
  json.member("variation_index", 0).key("variation_values").begin_object().end_object();
  json.member("cli_command", nullptr);
  json.end_object();
}

void write_input_config(JsonWriter& json, const RunSummary& summary) {
  const RunIdentity& id = summary.identity;
  json.key("input_config").begin_object();
  json.member("scenario", id.scenario).member("model", id.model).member("hardware", id.hardware);
  json.member("gpus", summary.gpus).member("policy", id.policy).member("layout", id.layout);
  json.member("scheduler", id.scheduler);
  json.end_object();
}

void write_errors(JsonWriter& json, const Metrics& m) {
  json.key("error_summary").begin_array();
  const auto write = [&](int code, const char* type, const char* message, std::int64_t count) {
    if (count == 0) return;
    json.begin_object().key("error_details").begin_object();
    json.member("code", code).member("type", type).member("message", message);
    json.end_object().member("count", count).end_object();
  };
  write(kRefusedCode, kRefusedType, kRefusedMessage, m.refused);
  write(kFailedCode, kFailedType, kFailedMessage, m.failed);
  json.end_array();
}

}  // namespace

std::string aiperf_summary(const RunSummary& summary) {
  const std::string run_id = "v4cap-" + hash_text(summary.totals.result_hash);
  JsonWriter json{2};
  json.begin_object();
  json.member("schema_version", "1.5").member("source", "simulated");
  json.member("simulator_version", simulator_version());
  json.member("definitions_version", kDefinitionsVersion).member("benchmark_id", run_id);
  json.member("start_time", date(summary.totals.first_arrival));
  json.member("end_time", date(summary.totals.first_arrival + summary.metrics.duration));
  json.member("was_cancelled", false);
  if (summary.metrics.quantile_error > 0) {  // ours: nothing else is not exact
    json.member("quantile_relative_error", summary.metrics.quantile_error);
  }
  write_distributions(json, summary.metrics);
  write_scalars(json, summary.metrics);
  write_input_config(json, summary);
  write_run_info(json, summary, run_id);
  write_errors(json, summary.metrics);
  // A simulated run must not enter a table of measured ones.
  json.key("runtime_submission_invalid_reasons").begin_array().value("simulated").end_array();
  json.end_object();
  return json.text() + '\n';
}

}  // namespace v4cap
