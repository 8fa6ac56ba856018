// The profile of one traffic under another, against runs of a scenario that is put together by hand.
#include "sim/plan/cross_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "sim/plan/plan_report.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kScenarios = std::string(V4CAP_SOURCE_DIR) + "/scenarios/";

// People who wait choose wide steps here, the batch narrow ones: there is nothing else to choose.
std::string waiting(const std::string& base = kScenarios + "quickstart.yaml") {
  return "base: " + base +
         "\naxes: {profile: [none], kv_cache.swa_policy: [tail], engine.step_tokens: [8192]}\n"
         "thresholds: [ttft_ms.p90 <= 2500, tpot_ms.p50 <= 40]\nseeds: [1, 2]\nlevers: []\n"
         "load: {from: 1, to: 12, asked: 20, tolerance: 0}\nsample: {rounds: 1}\n"
         "prices: on-demand-2026\n";
}

std::string batch(const std::string& more) {
  return "base: " + kScenarios +
         "quickstart_batch.yaml\n"
         "axes: {profile: [none], engine.step_tokens: [512]" +
         more +
         "}\n"
         "thresholds: [tpot_ms.p50 <= 50]\nseeds: [1, 2]\nlevers: []\n"
         "load: {from: 8, to: 24, tolerance: 0.2}\nsample: {rounds: 1, barrier: true}\n"
         "prices: on-demand-2026\n";
}

AnsweredPlan answered(const TempDir& dir, const std::string& name, const std::string& text,
                      const std::vector<std::string>& set = {}) {
  AnsweredPlan plan;
  plan.file = read_plan_file(dir.write(name + ".yaml", text), set, std::nullopt, "");
  plan.answer = search_deployments(plan.file, {"", 2}, {});
  return plan;
}

const CrossCell& cell_of(const CrossPlan& cross, std::size_t profile, std::size_t traffic) {
  const auto found = std::ranges::find_if(cross.cells, [&](const CrossCell& c) {
    return c.profile == profile && c.traffic == traffic;
  });
  REQUIRE(found != cross.cells.end());
  return *found;
}

TEST_CASE("crossed plans: a pair is the one's endpoint under the other's traffic") {
  const TempDir dir;
  const std::vector<AnsweredPlan> plans = {answered(dir, "waiting", waiting()),
                                           answered(dir, "batch", batch(""))};
  const CrossPlan cross = cross_plans(plans, {"", 2}, {});
  CHECK(cross.unit == "USD");
  REQUIRE(cross.cells.size() == 4);
  for (std::size_t t = 0; t < 2; ++t) {
    const DeploymentResult& own = plans[t].answer.deployments[*plans[t].answer.best];
    const CrossCell& same = cell_of(cross, t, t);
    CHECK(same.reason.empty());
    CHECK(same.held == own.held);
    CHECK_FALSE(same.extra.has_value());

    const std::size_t p = 1 - t;
    const CrossCell& other = cell_of(cross, p, t);
    REQUIRE(other.reason.empty());
    Scenario mixed = plans[p].answer.deployments[*plans[p].answer.best].scenario;
    mixed.workload = own.scenario.workload;
    mixed.slo = own.scenario.slo;
    TrialRunner runner(plans[t].file.rules);
    const double gpu_hour = plans[t].file.prices->gpu_hour.at("B200").per_hour;
    double ratio = 0;
    for (std::size_t s = 0; s < 2; ++s) {
      const std::uint64_t seed = plans[t].file.seeds[s];
      CHECK(runner.run(mixed, {.load = other.held, .seed = seed}, {}).met);
      const Trial run = runner.run(mixed, {.load = other.cheapest_load, .seed = seed}, {});
      CHECK(task_cost(run, gpu_hour) == doctest::Approx(other.task_cost[s]));
      ratio += other.task_cost[s] / same.task_cost[s] / 2;
    }
    REQUIRE(other.extra.has_value());
    CHECK(other.extra->mean == doctest::Approx(ratio - 1));
    CHECK(other.extra->mean != doctest::Approx(0));
  }
  CHECK(cell_of(cross, 0, 0).task == "session");
  CHECK(cell_of(cross, 0, 1).task == "trajectory");
  // As many engines as the load that was asked for needs; of one that was not, an engine.
  const CrossCell& waits = cell_of(cross, 1, 0);
  CHECK(static_cast<double>(waits.engines) * waits.held >= 20);
  CHECK(static_cast<double>(waits.engines - 1) * waits.held < 20);
  CHECK(waits.gpus == 8 * waits.engines);
  CHECK(waits.hour == doctest::Approx(5.98 * static_cast<double>(waits.gpus)));
  CHECK(cell_of(cross, 0, 1).engines == 1);

  CHECK(plans_report_json(plans, cross) ==
        plans_report_json(plans, cross_plans(plans, {"", 3}, {})));
}

TEST_CASE("crossed plans: a profile that cannot serve the traffic says why") {
  const TempDir dir;
  // The batch has a page of memory for every one of its short prompts, but none for an agent's.
  // Its blocks do not go into those of the sample's trace.
  const std::vector<AnsweredPlan> plans = {
      answered(dir, "waiting", waiting()),
      answered(dir, "small", batch(", kv_cache.memory: [64 MiB]")),
      answered(dir, "uneven", batch(", kv_cache.block_tokens: [96]"),
               {"kv_cache.tails=stored", "workload.synthetic.block_tokens=96"})};
  REQUIRE(plans[1].answer.best.has_value());
  REQUIRE(plans[2].answer.best.has_value());
  const CrossPlan cross = cross_plans(plans, {"", 2}, {});
  const CrossCell& small = cell_of(cross, 1, 0);
  CHECK(small.reason.find("were refused") != std::string::npos);
  CHECK(small.held == 0);
  CHECK_FALSE(small.extra.has_value());
  CHECK(cell_of(cross, 2, 0).reason.find("kv_cache.block_tokens") != std::string::npos);
  const std::string text = plans_report_text(plans, cross, {});
  CHECK(text.find("waiting with the profile of small: ") != std::string::npos);
  CHECK(text.find("nothing") != std::string::npos);
}

TEST_CASE("crossed plans: a plan without an answer has no profile to try") {
  const TempDir dir;
  std::string never = waiting();
  never.replace(never.find("2500"), 4, "0.01");
  const std::vector<AnsweredPlan> plans = {answered(dir, "never", never),
                                           answered(dir, "batch", batch(""))};
  REQUIRE_FALSE(plans[0].answer.best.has_value());
  const CrossPlan cross = cross_plans(plans, {"", 2}, {});
  CHECK(cross.cells.size() == 2);
  CHECK_FALSE(cell_of(cross, 1, 0).reason.empty());
  CHECK(cell_of(cross, 1, 1).reason.empty());
}

TEST_CASE("crossed plans: names, folders and prices that do not go together are refused") {
  const TempDir dir;
  const auto refused = [](const std::vector<PlanFile>& files) -> std::string {
    try {
      check_crossing(files);
    } catch (const InputError& error) {
      return error.diagnostics().front().message;
    }
    return "";
  };
  const auto read = [&](const std::string& name, const std::string& text) {
    return read_plan_file(dir.write(name, text), {}, std::nullopt, "");
  };
  const PlanFile one = read("one.yaml", waiting()), two = read("two.yaml", batch(""));
  CHECK(refused({one, two}).empty());
  CHECK(refused({one, one}).find("different names") != std::string::npos);
  std::filesystem::copy(kScenarios + "quickstart.yaml", dir / "quickstart.yaml");
  const PlanFile elsewhere = read("elsewhere.yaml", waiting(dir / "quickstart.yaml"));
  CHECK(refused({one, elsewhere}).find("one folder") != std::string::npos);
  std::string text = waiting();
  text.erase(text.find("prices:"));
  CHECK(refused({one, read("free.yaml", text)}).find("same prices") != std::string::npos);
}

}  // namespace
}  // namespace v4cap
