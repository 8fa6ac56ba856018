// Decision identity: what a run decides follows from its workload and its measured times alone, so
// the recorded times make the same run again, byte for byte.
#include "exec/replay/replay.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "sim/app/scenario_options.h"
#include "sim/config/engine_file.h"
#include "tests/exec/replay/fake_world.h"
#include "tests/sim/cluster/random_sessions.h"
#include "tests/temp_dir.h"

namespace v4cap::exec {
namespace {

LoggedRun performed(const Trace& trace, const WorkloadConfig& config, const ToyEngine& settings,
                    std::uint64_t seed, Pace pace) {
  FakeClock clock;
  FakePerformer performer(clock, seed);
  PerformedCost cost(performer, clock, pace);
  HostRules host;
  host.idle_until = [&](SimTime next) { cost.idle_until(next); };
  return play_logged(trace, config, settings, cost, host);
}

LoggedRun recorded(const Trace& trace, const WorkloadConfig& config, const ToyEngine& settings,
                   const std::string& steps_file) {
  StepsReader reader(steps_file);
  const RecordedCost cost([&] { return reader.next(); });
  LoggedRun run = play_logged(trace, config, settings, cost);
  cost.check_finished();
  return run;
}

TEST_CASE("replay: recorded times make the same decisions, with every policy and scheduler") {
  for (const std::string scheduler : {"fcfs", "vllm", "sglang"}) {
    for (const std::string policy :
         {"full", "checkpoint=128", "checkpoint=128+ends", "tail", "recompute", "recompute=pyramid",
          "replay", "pool=0.3", "pool=0.3+recompute", "reuse"}) {
      CAPTURE(scheduler);
      CAPTURE(policy);
      const TempDir dir;
      std::int64_t preemptions = 0, evictions = 0, hits = 0, refused = 0;
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        const Trace trace = random_sessions(seed, 50);
        ToyEngine engine = tight_engine(policy);
        engine.scheduler = scheduler;
        if (scheduler == "sglang") {
          engine.rules.options = known_engine("sglang").scheduler->options;
        }
        const WorkloadConfig config = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
        const Pace pace = seed == 3 ? Pace::as_fast_as_possible : Pace::real_time;
        const LoggedRun real = performed(trace, config, engine, seed, pace);
        const LoggedRun again = recorded(trace, config, engine, dir.write("steps.csv", real.steps));
        CHECK(again.steps == real.steps);
        CHECK(again.decisions == real.decisions);
        CHECK(again.result.totals.result_hash == real.result.totals.result_hash);
        CHECK(again.result.totals.share.measured_s == real.result.totals.share.measured_s);
        CHECK(again.result.totals.share.measured_s ==
              doctest::Approx(to_seconds(real.result.totals.busy)));
        preemptions += real.result.totals.preemptions;
        evictions += real.result.totals.evicted.total().value;
        hits += real.result.totals.hit_tokens.value;
        refused += real.result.totals.refused;

        const auto lines = [&](const std::string& decision) {
          std::int64_t count = 0;
          for (std::size_t at = 0; (at = real.decisions.find(decision, at)) != std::string::npos;) {
            ++count;
            at += decision.size();
          }
          return count;
        };
        CHECK(lines(",finish,") == real.result.totals.finished);
        CHECK(lines(",refuse,") == real.result.totals.refused);
        CHECK(lines(",preempt,") == real.result.totals.preemptions);
        CHECK(lines(",admit,") == real.result.totals.finished + real.result.totals.preemptions);
      }
      CHECK(evictions > 0);
      CHECK(hits > 0);
      CHECK(refused > 0);
      if (policy == "full") CHECK(preemptions > 0);
    }
  }
}

TEST_CASE("replay: other times make other decisions, and another workload is found out") {
  const TempDir dir;
  const Trace trace = random_sessions(1, 50);
  const ToyEngine engine = tight_engine("full");
  const LoggedRun real = performed(trace, {}, engine, 1, Pace::real_time);
  CHECK(performed(trace, {}, engine, 2, Pace::real_time).decisions != real.decisions);

  const std::string file = dir.write("steps.csv", real.steps);
  CHECK_THROWS_WITH_AS(recorded(random_sessions(2, 50), {}, engine, file),
                       doctest::Contains("the run is not the recorded one from step "), RunError);
  ToyEngine narrow = engine;
  narrow.max_running = 2;
  CHECK_THROWS_WITH_AS(recorded(trace, {}, narrow, file), doctest::Contains("recorded "), RunError);
}

const std::string kQuickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

TEST_CASE("replay: what cannot be performed is refused with its place") {
  const auto check = [](std::vector<std::string> set) {
    ScenarioOptions options;
    options.set = std::move(set);
    check_can_replay(load_named_scenario(kQuickstart, options));
  };
  CHECK_NOTHROW(check({}));
  CHECK_NOTHROW(check({"model=deepseek-v4-flash", "profile=none"}));
  struct Row {
    std::vector<std::string> set;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{"model=deepseek-v3.2", "profile=none", "kv_cache.swa_policy=full"},
       "model: expected a DeepSeek-V4 model"},
      {{"deployment.tensor_parallel=4", "deployment.data_parallel=2"},
       "deployment.data_parallel: expected 1"},
      {{"cluster={replicas: 2}"}, "cluster: expected one replica"},
      {{"engine.host.overlapped=true"}, "engine.host.overlapped: expected false"},
      {{"engine.draft_tokens=1"}, "engine.draft_tokens: expected 0"},
      {{"kv_cache.block_tokens=512"}, "kv_cache.block_tokens: expected 256"},
  };
  const auto check_on_two = [](std::vector<std::string> set) {
    ScenarioOptions options;
    options.set = std::move(set);
    check_can_replay(load_named_scenario(kQuickstart, options), 2);
  };
  CHECK_NOTHROW(check_on_two({"deployment={tensor_parallel: 2, expert_parallel: 2}"}));
  CHECK_THROWS_WITH_AS(check_on_two({"deployment={tensor_parallel: 4, expert_parallel: 4}"}),
                       doctest::Contains("deployment.tensor_parallel: expected 2"), InputError);
  CHECK_THROWS_WITH_AS(check_on_two({"deployment={tensor_parallel: 2}"}),
                       doctest::Contains("deployment.expert_parallel: expected 2"), InputError);
  CHECK_THROWS_WITH_AS(
      check_on_two({"deployment={tensor_parallel: 2, expert_parallel: 2, collectives: skipped}"}),
      doctest::Contains("deployment.collectives: expected included"), InputError);
  for (const Row& row : rows) {
    CAPTURE(row.message);
    try {
      check(row.set);
      FAIL_CHECK("was not refused");
    } catch (const InputError& error) {
      CHECK(error.diagnostics().front().message.find(row.message) == 0);
      CHECK_FALSE(error.diagnostics().front().place.file.empty());
    }
  }
}

}  // namespace
}  // namespace v4cap::exec
