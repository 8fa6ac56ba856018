#include "traces/bench_serving.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap {
namespace {

BenchServingSpec two_runs() {
  BenchServingSpec spec;
  spec.run = {32, 16};
  spec.earlier = {{8, 1}};
  spec.input = Tokens{8192};
  spec.output = Tokens{1024};
  spec.warmup_requests = 3;
  return spec;
}

TEST_CASE("bench_serving draws what NumPy's legacy generator draws") {
  // np.random.seed(1); np.random.randint(0, 100, 5) is 37 12 72 9 75: the same words from 1.
  BenchServingSpec spec;
  spec.input = Tokens{100};
  const std::vector<std::int64_t> known = {38, 13, 73, 10, 76};
  CHECK(bench_lengths(5, spec).input == known);
  // np.random.seed(1); np.random.randint(0, 10, 10) is 5 8 9 5 0 0 1 7 6 9.
  spec.input = Tokens{10};
  const std::vector<std::int64_t> digits = {6, 9, 10, 6, 1, 1, 2, 8, 7, 10};
  CHECK(bench_lengths(10, spec).input == digits);
}

TEST_CASE("bench_serving draws outputs after all inputs, between the ratio and the longest") {
  BenchServingSpec spec = two_runs();
  const BenchLengths few = bench_lengths(4, spec), many = bench_lengths(64, spec);
  CHECK(std::equal(few.input.begin(), few.input.end(), many.input.begin()));
  CHECK(few.output.front() != many.output.front());
  spec.range_ratio = 1;
  for (const std::int64_t length : bench_lengths(9, spec).input) CHECK(length == 8192);
  spec.range_ratio = 0.5;
  for (const std::int64_t length : bench_lengths(500, spec).output) {
    CHECK(length >= 512);
    CHECK(length <= 1024);
  }
}

TEST_CASE("bench_serving: warm-up and earlier runs come first and are not measured") {
  const Trace trace = bench_serving_trace(two_runs());
  REQUIRE(trace.phases.size() == 4);
  CHECK(trace.requests.size() == 3 + 8 + 3 + 32);
  std::uint32_t begin = 0;
  for (const TracePhase& phase : trace.phases) {
    CHECK(phase.begin == begin);
    begin = phase.end;
    CHECK(phase.measured == (&phase == &trace.phases.back()));
  }
  CHECK(begin == trace.requests.size());
  CHECK(trace.phases[1].concurrency == 1);
  CHECK(trace.phases[3].concurrency == 16);
  CHECK(trace.requests[0].output == Tokens{32});
  CHECK(trace.requests[0].prompt == trace.requests[3].prompt);
}

TEST_CASE("bench_serving: a prompt has the same blocks in every run, another prompt none of them") {
  const Trace trace = bench_serving_trace(two_runs());
  const auto first = trace.runs_of(trace.requests[3]), again = trace.runs_of(trace.requests[14]);
  REQUIRE(first.size() == 1);
  REQUIRE(again.size() == 1);
  CHECK(first[0] == again[0]);
  CHECK(first[0].count == trace.requests[3].prompt / Tokens{64});
  const auto other = trace.runs_of(trace.requests[5]);
  REQUIRE(other.size() == 1);
  CHECK(other[0].first >= first[0].first + 8192 / 64);
}

TEST_CASE("bench_serving: a burst that is shuffled comes in an order of each run's own") {
  BenchServingSpec spec = two_runs();
  spec.earlier = {{32, 16}};
  spec.warmup_requests = 1;
  spec.range_ratio = 0.5;
  const auto prompts = [](const Trace& trace, std::uint32_t begin) {
    std::vector<std::int64_t> keys;
    for (std::uint32_t r = begin; r < begin + 32; ++r) {
      keys.push_back(trace.runs_of(trace.requests[r])[0].first);
    }
    return keys;
  };
  const Trace sent = bench_serving_trace(spec);
  CHECK(prompts(sent, 1) == prompts(sent, 34));
  spec.burst_shuffled = true;
  const Trace trace = bench_serving_trace(spec);
  std::vector<std::int64_t> first = prompts(trace, 1), again = prompts(trace, 34);
  const std::vector<std::int64_t> kept = prompts(sent, 1);
  CHECK(first != kept);
  CHECK(first != again);
  // Only what is sent at once, here half of a run, changes its place, and warm-ups do not.
  CHECK(std::equal(first.begin() + 16, first.end(), kept.begin() + 16));
  CHECK(trace.runs_of(trace.requests[0])[0] == sent.runs_of(sent.requests[0])[0]);
  std::sort(first.begin(), first.begin() + 16);
  std::sort(again.begin(), again.begin() + 16);
  CHECK(first == kept);
  CHECK(again == kept);
  CHECK(prompts(bench_serving_trace(spec), 1) == prompts(trace, 1));
  spec.seed = 2;
  CHECK(prompts(bench_serving_trace(spec), 1) != prompts(trace, 1));
}

TEST_CASE("bench_serving refuses numbers that make no run") {
  const auto refused = [](auto change) {
    BenchServingSpec spec = two_runs();
    change(spec);
    CHECK_THROWS_AS(bench_serving_trace(spec), InputError);
  };
  refused([](BenchServingSpec& s) { s.run.prompts = 0; });
  refused([](BenchServingSpec& s) { s.earlier[0].concurrency = 0; });
  refused([](BenchServingSpec& s) { s.input = Tokens{0}; });
  refused([](BenchServingSpec& s) { s.range_ratio = 1.5; });
}

}  // namespace
}  // namespace v4cap
