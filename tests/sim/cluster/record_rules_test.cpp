// Long runs keep no records: what they say must be what they would say if they did.
#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "sim/cluster/record_window.h"
#include "sim/core/random.h"
#include "sim/output/aiperf.h"
#include "sim/output/metrics.h"
#include "tests/sim/cluster/toy_world.h"

namespace v4cap {
namespace {

Trace random_lengths(int requests) {
  RandomEngine engine(3);
  boost::random::uniform_int_distribution<std::int64_t> prompt(1, 700), output(0, 60);
  Trace trace;
  for (int i = 0; i < requests; ++i) add_request(trace, prompt(engine), output(engine));
  return trace;
}

struct Both {
  RunResult kept, streamed;
  std::string kept_lines, streamed_lines;
};

Both run_both(const WorkloadConfig& config, const Trace& trace) {
  ToyEngine engine;
  engine.max_context = Tokens{720};  // some are refused
  const LinearCost cost;
  Both both;
  both.kept = play(trace, config, engine, cost, 9);
  write_aiperf_records(both.kept.records, [&](std::string_view text) { both.kept_lines += text; });
  RecordStream lines([&](std::string_view text) { both.streamed_lines += text; });
  RecordRules rules;
  rules.most_kept = 100;
  rules.not_kept = [&](const RequestRecord& record) { lines.add(record); };
  both.streamed = play(trace, config, engine, cost, 9, {}, rules);
  lines.flush();
  return both;
}

void check_equal(const Both& both) {
  const RunTotals &kept = both.kept.totals, &streamed = both.streamed.totals;
  CHECK(both.streamed.records.empty());
  REQUIRE(both.streamed.digest);
  CHECK(streamed.result_hash == kept.result_hash);
  CHECK(streamed.events == kept.events);
  CHECK(streamed.refused == kept.refused);
  CHECK(kept.refused > 0);
  CHECK(streamed.saturated == kept.saturated);
  CHECK(streamed.mean_in_system == kept.mean_in_system);
  CHECK(both.streamed_lines == both.kept_lines);
  const Metrics exact = compute_metrics(both.kept), sketch = compute_metrics(both.streamed);
  CHECK(exact.quantile_error == 0);
  CHECK(sketch.quantile_error == QuantileSketch::kRelativeError);
  CHECK(sketch.duration == exact.duration);
  CHECK(sketch.output_token_throughput == exact.output_token_throughput);
  for (Distribution Metrics::*d :
       {&Metrics::time_to_first_token_ms, &Metrics::time_to_second_token_ms,
        &Metrics::inter_token_latency_ms, &Metrics::request_latency_ms,
        &Metrics::request_queue_time_ms, &Metrics::output_token_throughput_per_user,
        &Metrics::input_sequence_length, &Metrics::output_sequence_length}) {
    CHECK((sketch.*d).count == (exact.*d).count);
    CHECK((sketch.*d).mean == doctest::Approx((exact.*d).mean).epsilon(1e-12));
    for (double Distribution::*q : {&Distribution::p50, &Distribution::p99}) {
      CHECK(std::abs(sketch.*d.*q - exact.*d.*q) <=
            QuantileSketch::kRelativeError * std::abs(exact.*d.*q));
    }
  }
}

TEST_CASE("records: a long open loop that keeps none says the same, saturated or not") {
  const Trace trace = random_lengths(2'000);
  for (const double rate_per_s : {20.0, 5'000.0}) {
    CAPTURE(rate_per_s);
    WorkloadConfig config;
    config.arrivals = ArrivalMode::poisson;
    config.rate_per_s = rate_per_s;
    const Both both = run_both(config, trace);
    check_equal(both);
    CHECK(both.kept.totals.saturated == (rate_per_s > 1'000));
  }
}

TEST_CASE("records: a long closed loop, and times of the trace out of order") {
  Trace trace = random_lengths(700);
  WorkloadConfig config;
  config.arrivals = ArrivalMode::closed_loop;
  config.sessions_at_a_time = 20;
  check_equal(run_both(config, trace));
  for (std::size_t r = 0; r < trace.requests.size(); ++r) {
    trace.requests[r].arrival = duration_from_seconds(static_cast<double>(r * 37 % 701) / 10);
  }
  check_equal(run_both({}, trace));
}

TEST_CASE("records: cycled requests are as if the trace had them all") {
  const Trace once = random_lengths(150);
  Trace all = once, cycled = once;
  const ToyEngine engine;
  while (all.requests.size() < 400) {
    all.requests.push_back(all.requests[all.requests.size() - once.requests.size()]);
  }
  cycled.cycled_to = 400;
  for (const ArrivalMode mode :
       {ArrivalMode::poisson, ArrivalMode::closed_loop, ArrivalMode::burst}) {
    WorkloadConfig config;
    config.arrivals = mode;
    config.rate_per_s = 100;
    config.sessions_at_a_time = 5;
    const RunResult a = play(all, config, engine, LinearCost{});
    const RunResult b = play(cycled, config, engine, LinearCost{});
    CHECK(a.totals.result_hash == b.totals.result_hash);
    CHECK(b.totals.requests == 400);
  }
}

TEST_CASE("records: an open loop whose requests wait for others keeps its records") {
  Trace trace = random_lengths(300);
  trace.after.push_back(0);
  trace.requests[1].after_end = 1;
  for (std::size_t r = 2; r < trace.requests.size(); ++r) {
    trace.requests[r].after_begin = trace.requests[r].after_end = 1;
  }
  WorkloadConfig config;
  config.arrivals = ArrivalMode::poisson;
  config.rate_per_s = 10;
  const ToyEngine engine;
  RecordRules rules;
  rules.most_kept = 100;
  CHECK(play(trace, config, engine, LinearCost{}, 1, {}, rules).records.size() == 300);
  config.arrivals = ArrivalMode::closed_loop;
  CHECK(play(trace, config, engine, LinearCost{}, 1, {}, rules).records.empty());
}

TEST_CASE("record window: hands records on in order of their ids") {
  RecordWindow window;
  std::vector<std::uint32_t> seen;
  const auto add = [&](std::uint32_t id) {
    RequestRecord record;
    record.id = id;
    window.add(record, [&](const RequestRecord& r) { seen.push_back(r.id); });
  };
  for (const std::uint32_t id : {2U, 0U, 3U}) add(id);
  CHECK(seen == std::vector<std::uint32_t>{0});
  CHECK_FALSE(window.empty());
  add(1);
  CHECK(seen == std::vector<std::uint32_t>{0, 1, 2, 3});
  CHECK(window.empty());
  CHECK(window.first() == 4);
}

}  // namespace
}  // namespace v4cap
