// Single runs of a plan on the bundled sample.
#include "sim/plan/trial.h"

#include <doctest/doctest.h>

#include <chrono>

#include "sim/config/scenario_file.h"

namespace v4cap {
namespace {

Scenario quickstart(std::vector<std::string> set = {}) {
  ScenarioOptions options;
  options.set = std::move(set);
  options.set.insert(options.set.begin(), "profile=none");
  return load_scenario(std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml", options);
}

TrialRules rules(const std::string& threshold, SampleRule sample = {.rounds = 2}) {
  TrialRules out;
  out.thresholds.emplace_back(threshold, Place{"a test"});
  out.sample = sample;
  return out;
}

TEST_CASE("trial: goodput is the share of requests within the limits") {
  TrialRunner all(rules("ttft_ms.p50 <= 1e9"));
  const Trial plain = all.run(quickstart(), {.load = 4}, {});
  CHECK(plain.met);
  CHECK(plain.missed.empty());
  TrialRules half = rules("goodput >= 0.6");
  half.good.ttft = duration_from_seconds(plain.figure("ttft_ms.p50") / 1e3);
  const Trial judged = TrialRunner(half).run(quickstart(), {.load = 4}, {});
  CHECK(judged.figure(kGoodputFigure) == doctest::Approx(0.5).epsilon(0.05));
  CHECK_FALSE(judged.met);
  CHECK(judged.missed.starts_with("goodput >= 0.6: goodput is 0.5"));
}

TEST_CASE("trial: a refused request is load that is not held") {
  TrialRunner runner(rules("ttft_ms.p50 <= 1e9"));
  const Trial trial = runner.run(quickstart({"engine.max_context_tokens=16384"}), {.load = 4}, {});
  CHECK_FALSE(trial.met);
  CHECK(trial.missed.find("refused") != std::string::npos);
}

TEST_CASE("trial: longer steps, and what takes their time") {
  TrialRunner runner(rules("ttft_ms.p50 <= 1e9"));
  const Trial base = runner.run(quickstart(), {.load = 2, .explain = true}, {});
  const Trial twice = runner.run(quickstart(), {.load = 2, .step_factor = 2}, {});
  CHECK(twice.figure("tpot_ms.p50") > 1.9 * base.figure("tpot_ms.p50"));
  CHECK(base.prefill_s > 0);
  CHECK(base.decode_s > 0);
  REQUIRE(base.link_share.has_value());
  CHECK(*base.link_share > 0);
  CHECK(*base.link_share < 0.9);
  CHECK(base.figure("no such figure") != base.figure("no such figure"));
}

TEST_CASE("trial: rates are of the window before sessions run out, a barrier counts to the end") {
  const Trial open = TrialRunner(rules("ttft_ms.p50 <= 1e9")).run(quickstart(), {.load = 4}, {});
  const Trial barrier = TrialRunner(rules("ttft_ms.p50 <= 1e9", {.rounds = 2, .barrier = true}))
                            .run(quickstart(), {.load = 4}, {});
  CHECK(open.window_s < barrier.window_s);
  CHECK(barrier.window_s == doctest::Approx(barrier.figure("duration_s")));
  CHECK(barrier.sessions == doctest::Approx(8));
  CHECK(barrier.requests == static_cast<std::int64_t>(barrier.figure("requests")));
  CHECK(open.sessions < barrier.sessions);
  CHECK(barrier.output_tok_s == doctest::Approx(barrier.figure("output_tok_s")));
}

TEST_CASE("trial: an open loop has the rate that is asked for, of either kind") {
  const std::vector<std::string> poisson = {"workload.arrivals.mode=poisson",
                                            "workload.arrivals.sessions_at_a_time=null",
                                            "workload.arrivals.rate_per_s=1"};
  TrialRunner runner(rules("ttft_ms.p50 <= 1e9", {.requests = 200}));
  const Scenario scenario = quickstart(poisson);
  CHECK(load_unit(scenario) == LoadUnit::requests_per_s);
  const Trial slow = runner.run(scenario, {.load = 0.01}, {});
  const Trial fast = runner.run(scenario, {.load = 0.02}, {});
  // Sessions arrive at the rate, their later requests follow.
  CHECK(slow.figure("requests") >= 200);
  CHECK(fast.window_s < slow.window_s);
}

TEST_CASE("trial: a trace that is cycled already is refused") {
  Scenario scenario = quickstart({});
  scenario.workload.cycle_to = 10;
  CHECK_THROWS_AS(load_unit(scenario), InputError);
}

}  // namespace
}  // namespace v4cap
