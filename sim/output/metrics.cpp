#include "sim/output/metrics.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

namespace {

bool finished(const RequestRecord& record) {
  return record.end == RequestEnd::finished;
}

using PerRequest = std::optional<double> (*)(const RequestRecord&);

Distribution describe_all(const std::vector<RequestRecord>& records, PerRequest metric) {
  std::vector<double> sample;
  sample.reserve(records.size());
  for (const RequestRecord& record : records) {
    if (const std::optional<double> value = metric(record)) sample.push_back(*value);
  }
  return describe(std::move(sample));
}

std::optional<double> input_length(const RequestRecord& record) {
  if (!finished(record)) return std::nullopt;
  return static_cast<double>(record.prompt.value);
}

std::optional<double> output_length(const RequestRecord& record) {
  if (!finished(record)) return std::nullopt;
  return static_cast<double>(record.output.value);
}

void add_sums(const RequestRecord& record, Metrics& m, SimTime& first, SimTime& last) {
  ++m.requests;
  first = std::min(first, record.arrival);
  if (!finished(record)) {
    ++(record.end == RequestEnd::refused ? m.refused : m.failed);
    return;
  }
  ++m.finished;
  m.preemptions += record.preemptions;
  m.prompt += record.prompt;
  m.hit += record.hit;
  m.computed += record.computed;
  m.rebuilt += record.rebuilt;
  m.recomputed_after_preemption += record.recomputed_after_preemption;
  m.output += record.output;
  last = std::max(last, record.finished);
}

// Every distribution of Metrics and what of a record it is of.
struct Described {
  Distribution Metrics::*where;
  PerRequest metric;
};
constexpr std::array<Described, 8> kDescribed = {{
    {&Metrics::time_to_first_token_ms, time_to_first_token_ms},
    {&Metrics::time_to_second_token_ms, time_to_second_token_ms},
    {&Metrics::inter_token_latency_ms, inter_token_latency_ms},
    {&Metrics::request_latency_ms, request_latency_ms},
    {&Metrics::request_queue_time_ms, request_queue_time_ms},
    {&Metrics::output_token_throughput_per_user, output_token_throughput_per_user},
    {&Metrics::input_sequence_length, input_length},
    {&Metrics::output_sequence_length, output_length},
}};

Metrics from_records(const std::vector<RequestRecord>& records) {
  Metrics m;
  SimTime first = SimTime::max(), last = SimTime::min();
  for (const RequestRecord& record : records) add_sums(record, m, first, last);
  if (m.finished > 0) m.duration = last - first;
  for (const Described& d : kDescribed) m.*d.where = describe_all(records, d.metric);
  return m;
}

void add_rates(std::int64_t gpus, Metrics& m) {
  if (m.prompt.value > 0) {
    m.hit_rate = static_cast<double>(m.hit.value) / static_cast<double>(m.prompt.value);
  }
  if (m.duration <= Duration::zero()) return;
  const double seconds = exact_ms(m.duration) / 1e3;
  const auto rate = [seconds](std::int64_t amount) {
    return static_cast<double>(amount) / seconds;
  };
  m.request_throughput = rate(m.finished);
  m.output_token_throughput = rate(m.output.value);
  m.total_token_throughput = rate(m.prompt.value + m.output.value);
  const double n = static_cast<double>(gpus);
  m.per_gpu =
      PerGpuThroughput{rate(m.hit.value) / n, rate(m.computed.value) / n, rate(m.output.value) / n};
}

void check_against_totals(const Metrics& m, const RunTotals& totals) {
  const auto same = [](const char* what, std::int64_t records, std::int64_t total) {
    V4CAP_CHECK(records == total, std::string(what) + ": the records say " +
                                      std::to_string(records) + ", the totals of the run say " +
                                      std::to_string(total));
  };
  same("requests", m.requests, totals.requests);
  same("finished", m.finished, totals.finished);
  same("refused", m.refused, totals.refused);
  same("failed", m.failed, totals.failed);
  same("prompt tokens", m.prompt.value, totals.prompt_tokens.value);
  same("hit tokens", m.hit.value, totals.hit_tokens.value);
  same("computed tokens", m.computed.value, totals.computed_tokens.value);
  same("prompt = hit + computed", m.prompt.value, m.hit.value + m.computed.value);
  same("rebuilt tokens", m.rebuilt.value, totals.rebuilt_tokens.value);
  same("recomputed tokens", m.recomputed_after_preemption.value,
       totals.recomputed_after_preemption.value);
  same("output tokens", m.output.value, totals.output_tokens.value);
}

}  // namespace

double exact_ms(Duration time) {
  return static_cast<double>(time.count()) / 1e6;
}

std::optional<double> time_to_first_token_ms(const RequestRecord& r) {
  if (!finished(r) || r.output < Tokens{1}) return std::nullopt;
  return exact_ms(r.first_token - r.arrival);
}

std::optional<double> time_to_second_token_ms(const RequestRecord& r) {
  // A replayed record may lack the second token's time, which is then the clock's start.
  if (!finished(r) || r.output < Tokens{2} || r.second_token < r.first_token) return std::nullopt;
  return exact_ms(r.second_token - r.first_token);
}

std::optional<double> inter_token_latency_ms(const RequestRecord& r) {
  if (!finished(r) || r.output < Tokens{2}) return std::nullopt;
  // E2EL - TTFT, subtracted as integers.
  return exact_ms(r.finished - r.first_token) / static_cast<double>(r.output.value - 1);
}

std::optional<double> request_latency_ms(const RequestRecord& r) {
  if (!finished(r)) return std::nullopt;
  return exact_ms(r.finished - r.arrival);
}

std::optional<double> request_queue_time_ms(const RequestRecord& r) {
  if (!finished(r)) return std::nullopt;
  return exact_ms(r.admitted - r.arrival);
}

std::optional<double> output_token_throughput_per_user(const RequestRecord& r) {
  const std::optional<double> gap_ms = inter_token_latency_ms(r);
  if (!gap_ms || *gap_ms <= 0) return std::nullopt;
  return 1000 / *gap_ms;
}

void MetricsDigest::add(const RequestRecord& record) {
  add_sums(record, sums_, first_, last_);
  for (std::size_t i = 0; i < kDescribed.size(); ++i) {
    if (const std::optional<double> value = kDescribed[i].metric(record)) sketches_[i].add(*value);
  }
}

Metrics MetricsDigest::metrics() const {
  Metrics m = sums_;
  if (m.finished > 0) m.duration = last_ - first_;
  for (std::size_t i = 0; i < kDescribed.size(); ++i) {
    m.*kDescribed[i].where = sketches_[i].describe();
  }
  m.quantile_error = QuantileSketch::kRelativeError;
  return m;
}

Metrics compute_metrics(const RunResult& result) {
  V4CAP_CHECK(result.gpus > 0, "a run on no GPU");
  Metrics m = result.digest ? result.digest->metrics() : from_records(result.records);
  check_against_totals(m, result.totals);
  add_rates(result.gpus, m);
  return m;
}

}  // namespace v4cap
