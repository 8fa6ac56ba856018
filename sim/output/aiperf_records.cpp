// profile_export.jsonl: one request a line.
#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "sim/output/aiperf.h"
#include "sim/output/json_writer.h"
#include "sim/output/metrics.h"

namespace v4cap {

namespace {

// Requests outside any session are sessions of their own.
std::string conversation(const RequestRecord& record) {
  return record.session >= 0 ? fmt::format("session-{}", record.session)
                             : fmt::format("request-{}", record.id);
}

void write_metadata(JsonWriter& json, const RequestRecord& r, BenchmarkPhase phase) {
  const bool refused = r.end == RequestEnd::refused;
  const std::int64_t start_ns = r.arrival.time_since_epoch().count();
  const std::int64_t end_ns = refused ? start_ns : r.finished.time_since_epoch().count();
  const std::string name = conversation(r);
  json.key("metadata").begin_object();
  json.member("session_num", r.session >= 0 ? std::int64_t{r.session} : std::int64_t{r.id});
  json.member("x_request_id", fmt::format("request-{}", r.id));
  json.member("x_correlation_id", name);
  json.member("conversation_id", name);
  json.member("turn_index", r.turn);
  json.member("request_start_ns", start_ns);
  json.member("request_ack_ns", nullptr);  // a simulated server sends no headers
  json.member("request_end_ns", end_ns);
  json.member("worker_id", "v4cap");
  json.member("record_processor_id", "v4cap");
  json.member("benchmark_phase", phase == BenchmarkPhase::warmup ? "warmup" : "profiling");
  json.member("was_cancelled", false);
  json.member("cancellation_time_ns", nullptr);
  json.end_object();
}

template <class T>
void write_metric(JsonWriter& json, std::string_view tag, const T& value, std::string_view unit) {
  json.key(tag).begin_object().member("value", value).member("unit", unit).end_object();
}

// A metric that does not apply to the request is absent.
void write_metric(JsonWriter& json, std::string_view tag, const std::optional<double>& value,
                  std::string_view unit) {
  if (value) write_metric(json, tag, *value, unit);
}

void write_finished(JsonWriter& json, const RequestRecord& r) {
  write_metric(json, "input_sequence_length", r.prompt.value, "tokens");
  write_metric(json, "output_sequence_length", r.output.value, "tokens");
  write_metric(json, "output_token_count", r.output.value, "tokens");
  write_metric(json, "time_to_first_token", time_to_first_token_ms(r), "ms");
  write_metric(json, "time_to_second_token", time_to_second_token_ms(r), "ms");
  write_metric(json, "request_latency", request_latency_ms(r), "ms");
  write_metric(json, "inter_token_latency", inter_token_latency_ms(r), "ms");
  // Every token we count is part of the response, so the two are one here; InferenceX reads this
  // name.
  write_metric(json, "full_response_inter_token_latency", inter_token_latency_ms(r), "ms");
  write_metric(json, "output_token_throughput_per_user", output_token_throughput_per_user(r),
               "tokens/sec/user");
  write_metric(json, "request_queue_time", request_queue_time_ms(r), "ms");
  if (r.prefill_replica >= 0) {
    write_metric(json, "prompt_read", exact_ms(r.prompt_read - r.arrival), "ms");
    write_metric(json, "prefill_replica", r.prefill_replica, "replica");
  }
  write_metric(json, "hit_tokens", r.hit.value, "tokens");
  write_metric(json, "computed_tokens", r.computed.value, "tokens");
  write_metric(json, "rebuilt_tokens", r.rebuilt.value, "tokens");
  write_metric(json, "recomputed_after_preemption", r.recomputed_after_preemption.value, "tokens");
  write_metric(json, "preemptions", r.preemptions, "preemptions");
}

void write_error(JsonWriter& json, RequestEnd end) {
  const bool refused = end == RequestEnd::refused;
  json.key("error").begin_object();
  json.member("code", refused ? kRefusedCode : kFailedCode);
  json.member("type", refused ? kRefusedType : kFailedType);
  json.member("message", refused ? kRefusedMessage : kFailedMessage);
  json.end_object();
}

}  // namespace

std::string aiperf_record(const RequestRecord& record, BenchmarkPhase phase, RecordOf of) {
  JsonWriter json;
  json.begin_object();
  write_metadata(json, record, phase);
  json.key("metrics").begin_object();
  if (record.end == RequestEnd::finished) {
    write_finished(json, record);
    if (of == RecordOf::cluster) {
      write_metric(json, "replica", record.replica, "replica");
      write_metric(json, "retries", record.retries, "retries");
    }
    json.end_object().member("error", nullptr);
  } else {
    write_metric(json, "error_isl", record.prompt.value, "tokens");
    json.end_object();
    write_error(json, record.end);
  }
  json.end_object();
  return json.text();
}

void write_aiperf_records(const std::vector<RequestRecord>& records, const TextSink& sink,
                          BenchmarkPhase phase, RecordOf of) {
  for (const RequestRecord& record : records) sink(aiperf_record(record, phase, of) + '\n');
}

void RecordStream::add(const RequestRecord& record) {
  constexpr std::size_t kHandedOn = std::size_t{1} << 16;
  lines_ += aiperf_record(record, BenchmarkPhase::profiling, of_);
  lines_ += '\n';
  if (lines_.size() >= kHandedOn) flush();
}

void RecordStream::flush() {
  if (!lines_.empty()) sink_(lines_);
  lines_.clear();
}

}  // namespace v4cap
