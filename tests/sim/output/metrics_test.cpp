#include "sim/output/metrics.h"

#include <doctest/doctest.h>

#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("metrics: the sample worked by hand") {
  const Metrics m = compute_metrics(sample_run());
  CHECK(m.requests == 5);
  CHECK(m.finished == 4);
  CHECK(m.refused == 1);
  CHECK(m.preemptions == 1);
  CHECK(m.duration == Duration{400'500'000});
  CHECK(m.prompt == Tokens{3800});
  CHECK(m.net_saved() == Tokens{1280 - 128});

  CHECK(m.time_to_first_token_ms.count == 3);
  CHECK(m.time_to_first_token_ms.p50 == 100.5);
  CHECK(m.time_to_first_token_ms.mean == doctest::Approx(350.5 / 3));
  CHECK(m.time_to_second_token_ms.count == 2);
  CHECK(m.time_to_second_token_ms.p50 == 15);
  CHECK(m.inter_token_latency_ms.count == 2);  // not of one token, not of none
  CHECK(m.inter_token_latency_ms.min == 10);
  CHECK(m.inter_token_latency_ms.max == 20);
  CHECK(m.inter_token_latency_ms.p50 == 15);
  CHECK(m.inter_token_latency_ms.p90 == 19);  // numpy.quantile([10, 20], 0.9)
  CHECK(m.output_token_throughput_per_user.max == 100);
  CHECK(m.request_latency_ms.count == 4);
  CHECK(m.request_latency_ms.mean == 172.625);
  CHECK(m.request_latency_ms.p50 == 170);  // of 150, 150, 190, 200.5
  CHECK(m.request_queue_time_ms.max == 50);
  CHECK(m.input_sequence_length.sum == 3800);
  CHECK(m.output_sequence_length.min == 0);

  CHECK(*m.hit_rate == doctest::Approx(1280.0 / 3800));
  CHECK(*m.request_throughput == doctest::Approx(4 / 0.4005));
  CHECK(*m.output_token_throughput == doctest::Approx(17 / 0.4005));
  CHECK(*m.total_token_throughput == doctest::Approx(3817 / 0.4005));
  CHECK(m.per_gpu->cached == doctest::Approx(1280 / 0.4005 / 2));
  CHECK(m.per_gpu->computed == doctest::Approx(2520 / 0.4005 / 2));
  CHECK(m.per_gpu->output == doctest::Approx(17 / 0.4005 / 2));
}

TEST_CASE("metrics: which request has which") {
  RequestRecord r{.arrival = at_ms(1),
                  .admitted = at_ms(2),
                  .first_token = at_ms(5),
                  .second_token = at_ms(7),
                  .finished = at_ms(9),
                  .prompt = {10},
                  .computed = {10}};
  struct Row {
    std::string name;
    std::int64_t output;
    RequestEnd end;
    bool ttft, tpot, e2el;
  };
  const Row rows[] = {
      {"two tokens", 2, RequestEnd::finished, true, true, true},
      {"one token", 1, RequestEnd::finished, true, false, true},
      {"aborted after its prompt", 0, RequestEnd::finished, false, false, true},
      {"refused", 2, RequestEnd::refused, false, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    r.output = {row.output};
    r.end = row.end;
    CHECK(time_to_first_token_ms(r).has_value() == row.ttft);
    CHECK(time_to_second_token_ms(r).has_value() == row.tpot);
    CHECK(inter_token_latency_ms(r).has_value() == row.tpot);
    CHECK(output_token_throughput_per_user(r).has_value() == row.tpot);
    CHECK(request_latency_ms(r).has_value() == row.e2el);
    CHECK(request_queue_time_ms(r).has_value() == row.e2el);
  }
}

TEST_CASE("metrics: a gap of no time gives no rate") {
  const RequestRecord r{
      .first_token = at_ms(5), .second_token = at_ms(5), .finished = at_ms(5), .output = {3}};
  CHECK(*inter_token_latency_ms(r) == 0);
  CHECK_FALSE(output_token_throughput_per_user(r).has_value());
}

TEST_CASE("metrics: a second token without a time has no TTST") {
  const RequestRecord r{.first_token = at_ms(5), .finished = at_ms(9), .output = {3}};
  CHECK_FALSE(time_to_second_token_ms(r).has_value());
  CHECK(*inter_token_latency_ms(r) == 2);
}

TEST_CASE("metrics: milliseconds are rounded once") {
  CHECK(exact_ms(Duration{255'886'568}) == 255.886568);
}

TEST_CASE("metrics: nothing finished means no rates instead of zeros") {
  RunResult run;
  CHECK_FALSE(compute_metrics(run).hit_rate.has_value());
  run.records = {{.id = 0, .end = RequestEnd::refused, .arrival = at_ms(5), .prompt = {100}}};
  run.totals.requests = run.totals.refused = 1;
  const Metrics m = compute_metrics(run);
  CHECK(m.refused == 1);
  CHECK(m.duration == Duration{0});
  CHECK_FALSE(m.hit_rate.has_value());
  CHECK_FALSE(m.output_token_throughput.has_value());
  CHECK_FALSE(m.per_gpu.has_value());
  CHECK(m.time_to_first_token_ms.count == 0);
}

TEST_CASE("metrics: the duration starts with the first arrival even if that one was refused") {
  RunResult run;
  run.records = {{.id = 0, .end = RequestEnd::refused, .arrival = at_ms(5)},
                 {.id = 1,
                  .arrival = at_ms(10),
                  .admitted = at_ms(10),
                  .first_token = at_ms(20),
                  .finished = at_ms(25),
                  .prompt = {8},
                  .output = {1},
                  .computed = {8}}};
  run.totals.requests = 2;
  run.totals.finished = run.totals.refused = 1;
  run.totals.prompt_tokens = run.totals.computed_tokens = {8};
  run.totals.output_tokens = {1};
  CHECK(compute_metrics(run).duration == Duration{20'000'000});
}
