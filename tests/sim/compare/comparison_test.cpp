// Errors of runs whose differences are known, worked out here a second time.
#include <doctest/doctest.h>

#include <cmath>

#include "sim/compare/comparison.h"
#include "sim/core/error.h"

namespace v4cap {

namespace {

MeasuredRun run_with(std::vector<MeasuredRequest> requests,
                     std::map<std::string, double, std::less<>> figures = {}) {
  MeasuredRun run;
  run.requests = std::move(requests);
  run.figures = std::move(figures);
  return run;
}

const FigureError& row_of(const Comparison& c, std::string_view name) {
  for (const FigureError& row : c.figures) {
    if (row.figure->name == name) return row;
  }
  FAIL("no figure ", std::string(name));
  return c.figures.front();
}

Comparison compared(const MeasuredRun& a, const MeasuredRun& b,
                    const std::vector<std::string>& limits = {}, const std::string& set = "") {
  return compare_runs(a, b, {}, parse_limits(set, limits));
}

}  // namespace

TEST_CASE("comparison: errors are signed, of B against A, and of rates in points") {
  const Comparison c =
      compared(run_with({}, {{"ttft_p50", 200}, {"tpot_p50", 10}, {"hit_rate", 0.5}}),
               run_with({}, {{"ttft_p50", 210}, {"tpot_p50", 9}, {"hit_rate", 0.497}}));
  CHECK(row_of(c, "ttft_p50").error == doctest::Approx(5));
  CHECK(row_of(c, "tpot_p50").error == doctest::Approx(-10));
  CHECK(row_of(c, "hit_rate").error == doctest::Approx(-0.3));
}

TEST_CASE("comparison: what a side did not record and a baseline of 0 have no error, and say why") {
  const Comparison c = compared(run_with({}, {{"preemptions", 0}, {"failed", 0}, {"itl_p50", 3}}),
                                run_with({}, {{"preemptions", 4}, {"failed", 0}, {"e2el_p50", 3}}));
  CHECK(row_of(c, "preemptions").why == "A is 0");
  CHECK_FALSE(row_of(c, "preemptions").error.has_value());
  CHECK(row_of(c, "failed").error == 0);
  CHECK(row_of(c, "itl_p50").why == "not in B");
  CHECK(row_of(c, "e2el_p50").why == "not in A");
  CHECK(row_of(c, "ttft_p50").why == "in neither");
}

TEST_CASE("comparison: single requests are paired by id, others are counted") {
  const Comparison c = compared(run_with({{"r1", 100, 10, 300},
                                          {"r2", 200, 10, 400},
                                          {"r3", 50, {}, 50},
                                          {"r4", 0, 10, 100},
                                          {"only", 1, 1, 1}}),
                                run_with({{"r4", 5, 10, 100},
                                          {"r3", 60, {}, 50},
                                          {"r2", 190, 10, 500},
                                          {"r1", 101, 10, 300},
                                          {"x", 1, 1, 1},
                                          {"y", 1, 1, 1}}));
  CHECK(c.paired_requests == 4);
  CHECK(c.only_in_a == 1);
  CHECK(c.only_in_b == 2);
  CHECK(c.pairing == "4 requests are paired by id, 1 are only in A, 2 are only in B");
  REQUIRE(c.paired.size() == 3);
  // TTFT: +1, -5 and +20 %; r4 has nothing to divide by.
  CHECK(c.paired[0].count == 3);
  CHECK(c.paired[0].median_signed_pct == doctest::Approx(1));
  CHECK(c.paired[0].median_pct == doctest::Approx(5));
  CHECK(c.paired[0].p90_pct == doctest::Approx(5 + 0.8 * 15));
  CHECK(c.paired[0].worst_pct == doctest::Approx(20));
  CHECK(c.paired[0].worst_id == "r3");
  CHECK(c.paired[1].count == 3);  // r3 has one token
  CHECK(c.paired[2].worst_pct == doctest::Approx(25));
}

TEST_CASE(
    "comparison: without common ids only distributions are compared, and the reason is given") {
  const MeasuredRun with_ids = run_with({{"r1", 1, 1, 1}}), without = run_with({{"", 1, 1, 1}});
  const MeasuredRun others = run_with({{"q1", 1, 1, 1}}), statistics = run_with({});
  CHECK(compared(with_ids, without).pairing.starts_with("B has no single requests with ids"));
  CHECK(compared(statistics, with_ids).pairing.starts_with("A has no single requests with ids"));
  CHECK(compared(without, statistics).pairing.starts_with("neither side"));
  CHECK(compared(with_ids, others).pairing.starts_with("no request id is on both sides"));
  CHECK(compared(with_ids, others).paired.empty());
}

TEST_CASE("comparison: limits are inclusive, and what cannot be judged is not held") {
  const MeasuredRun a = run_with(
      {},
      {{"ttft_p50", 100}, {"tpot_p50", 100}, {"hit_rate", 0.5}, {"preemptions", 0}, {"failed", 0}});
  const MeasuredRun b = run_with(
      {},
      {{"ttft_p50", 98}, {"tpot_p50", 98}, {"hit_rate", 0.51}, {"preemptions", 1}, {"failed", 0}});
  const Comparison c = compared(a, b,
                                {"ttft_p50=2", "tpot_p50=1.9", "hit_rate=0.5", "preemptions=99",
                                 "failed=0", "e2el_p50=50", "paired_ttft=3", "step_p90=5"});
  CHECK(row_of(c, "ttft_p50").limit.state == LimitState::held);
  CHECK(row_of(c, "tpot_p50").limit.state == LimitState::exceeded);
  CHECK(row_of(c, "hit_rate").limit.state == LimitState::exceeded);  // 1 point
  CHECK(row_of(c, "preemptions").limit.state == LimitState::exceeded);
  CHECK(row_of(c, "failed").limit.state == LimitState::held);
  CHECK(row_of(c, "e2el_p50").limit.state == LimitState::unknown);
  CHECK(c.exceeded == std::vector<std::string>{"tpot_p50", "e2el_p50", "hit_rate", "preemptions",
                                               "paired_ttft", "step_p90"});
}

TEST_CASE("limits: a name stands for what goes on after it, and later ones replace earlier ones") {
  const ErrorLimits limits = parse_limits("", {"ttft=9", "ttft_p99=20", "throughput=2"});
  CHECK(limits.size() == 7);
  CHECK(limits.at("ttft_p50") == 9);
  CHECK(limits.at("ttft_p99") == 20);
  CHECK(limits.at("throughput_request") == 2);
  const ErrorLimits replay = parse_limits("replay", {"ttft_p99=10"});
  CHECK(replay.at("tpot_p90") == 5);
  CHECK(replay.at("ttft_p99") == 10);
  CHECK(replay.at("hit_rate") == 0.5);
  CHECK(replay.at("kv_peak_swa") == 2);
  CHECK_FALSE(replay.contains("tpot_p99"));
}

TEST_CASE("limits: mistakes name what is nearest") {
  struct Row {
    std::string set, text, message;
  };
  for (const Row& row : std::vector<Row>{{"", "tftt_p50=2", "did you mean 'ttft_p50'?"},
                                         {"", "troughput=2", "did you mean 'throughput'?"},
                                         {"", "ttft_p50", "expected NAME=PERCENT"},
                                         {"", "ttft_p50=", "a number of at least 0"},
                                         {"", "ttft_p50=-1", "a number of at least 0"},
                                         {"", "ttft_p50=nan", "a number of at least 0"},
                                         {"", "ttft_p50=2%", "a number of at least 0"},
                                         {"", "=2", "unknown figure"},
                                         {"reply", "", "did you mean 'replay'?"}}) {
    CAPTURE(row.text);
    std::string message;
    try {
      parse_limits(row.set, row.text.empty() ? std::vector<std::string>{}
                                             : std::vector<std::string>{row.text});
    } catch (const InputError& e) {
      message = e.what();
    }
    CAPTURE(message);
    CHECK(message.find(row.message) != std::string::npos);
  }
}

}  // namespace v4cap
