// Whatever a scenario asks for, a run takes no short cut that can be seen: it is compared with one in
// which every step is planned, timed by the plain model and finished by itself, and the cache is asked
// at every decode. tests/sim/random_scenario.h makes them, `random_scenarios` writes them to files.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/core/parallel.h"
#include "tests/sim/cluster/same_run.h"
#include "tests/sim/random_scenario.h"

namespace v4cap {
namespace {

// Says nothing of several steps at once, nor anything quickly.
class PlainCost final : public CostModel {
 public:
  explicit PlainCost(const CostModel& model) : model_(model) {}
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    return model_.step_time(ranks);
  }

 private:
  const CostModel& model_;
};

struct Seen {
  std::string difference;
  std::int64_t steps = 0, preemptions = 0;
  bool finished = false, drafts = false, tiers = false, ranks = false;
};

Seen compare(std::uint64_t seed) {
  const Scenario scenario =
      parse_scenario(random_scenario(seed), "random_" + std::to_string(seed) + ".yaml");
  check_can_run(scenario);
  const Trace trace = load_workload(scenario);
  const ScenarioCost cost = make_cost(scenario);
  const auto play = [&](bool plain) {
    const auto replica = make_replica(scenario, plain);
    const PlainCost slowly(*cost.model);
    const CostModel& model = plain ? static_cast<const CostModel&>(slowly) : *cost.model;
    return run_parts(scenario, trace, *replica, model, {.skips_steady = !plain});
  };
  const RunResult fast = play(false), plain = play(true);
  Seen seen{difference(fast, plain), fast.totals.steps};
  seen.finished = fast.totals.finished > 0;
  for (const RequestRecord& record : fast.records) seen.preemptions += record.preemptions;
  seen.drafts = scenario.engine.draft_tokens > 0;
  seen.tiers = !scenario.kv_cache.below.tiers.empty();
  seen.ranks = scenario.deployment.data_parallel > 1;
  return seen;
}

void compare_all(std::uint64_t first, std::size_t count) {
  std::vector<Seen> all(count);
  parallel_for(
      count, [&](std::size_t i) { all[i] = compare(first + i); }, 2);
  std::size_t finished = 0, preempted = 0, drafts = 0, tiers = 0, ranks = 0;
  for (std::size_t i = 0; i < count; ++i) {
    CAPTURE(first + i);
    CHECK(all[i].difference == "");
    finished += all[i].finished ? 1 : 0;
    preempted += all[i].preemptions > 0 ? 1 : 0;
    drafts += all[i].drafts ? 1 : 0;
    tiers += all[i].tiers ? 1 : 0;
    ranks += all[i].ranks ? 1 : 0;
  }
  CHECK(finished > count * 9 / 10);
  CHECK(preempted > count / 50);
  CHECK(drafts > count / 5);
  CHECK(tiers > count / 5);
  CHECK(ranks > count / 3);
}

TEST_CASE("random scenarios 1 to 500: the same bytes as plainly") {
  compare_all(1, 500);
}
TEST_CASE("random scenarios 501 to 1,000: the same bytes as plainly") {
  compare_all(501, 500);
}
TEST_CASE("random scenarios 1,001 to 1,500: the same bytes as plainly") {
  compare_all(1001, 500);
}
TEST_CASE("random scenarios 1,501 to 2,000: the same bytes as plainly") {
  compare_all(1501, 500);
}

}  // namespace
}  // namespace v4cap
