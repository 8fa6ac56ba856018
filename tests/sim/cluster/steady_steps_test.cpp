// Decode steps that are taken together: every byte of a run is as if each had been planned, timed and
// finished by itself.
#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/core/parallel.h"
#include "tests/sim/cluster/random_sessions.h"
#include "tests/sim/cluster/same_run.h"

namespace v4cap {
namespace {

SchedulerParameters sglang_rules(std::int64_t ranks, bool mixed) {
  SchedulerParameters rules;
  rules.attention_ranks = ranks;
  rules.mixed_chunk = mixed;
  rules.options = {{"max_prefill_tokens", 512},
                   {"clip_max_new_tokens", 4096},
                   {"conservativeness", 1},
                   {"conservativeness_of_ranks", 1},
                   {"new_token_ratio", 0.7},
                   {"new_token_ratio_least", 0.14},
                   {"new_token_ratio_decay_steps", 600},
                   {"prefill_delay_steps", 30},
                   {"retract_decode_steps", 20},
                   {"rebuild_whole", 1}};
  return rules;
}

struct World {
  Trace trace;
  WorkloadConfig workload;
  ToyEngine engine;
  std::size_t ranks = 1;
  RankRules rules;
  HostRules host;
  std::uint64_t seed = 1;

  RunResult play(bool skips, std::int64_t& runs) const {
    RunsCost cost;
    ToyEngine built = engine;
    built.asks_always = !skips;
    Replica replica = toy_ranks(built, ranks, "round_robin", rules);
    HostRules played = host;
    played.skips_steady = skips;
    RunResult result = play_on(replica, trace, workload, cost, seed, played);
    runs = cost.runs;
    return result;
  }
};

World random_world(std::uint64_t seed) {
  RandomEngine random = RandomStreams(seed).stream("steady steps");
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  World world;
  world.seed = seed;
  world.trace = random_sessions(seed, static_cast<int>(draw(3, 25)));
  const std::vector<std::string> policies = {"full",     "checkpoint=128", "checkpoint=128+ends",
                                             "tail",     "recompute",      "replay",
                                             "pool=0.3", "reuse=0.5"};
  world.engine = tight_engine(policies[static_cast<std::size_t>(draw(0, 7))]);
  if (draw(0, 2) == 0) world.engine.costs.capacity *= 20;  // no pressure
  if (draw(0, 4) == 0) world.engine.costs.windows_stay = true;
  world.engine.max_running = draw(1, 12);
  world.engine.step_tokens = Tokens{draw(0, 3) == 0 ? draw(4, 20) : draw(64, 512)};
  world.engine.reuse_generated = draw(0, 3) > 0;
  if (draw(0, 5) == 0) world.engine.acceptance = {0.4, 0.3, 0.3};
  world.ranks = static_cast<std::size_t>(draw(0, 2) == 0 ? draw(2, 4) : 1);
  const auto ranks = static_cast<std::int64_t>(world.ranks);
  switch (draw(0, 3)) {
    case 0:
      world.engine.scheduler = "vllm";
      break;
    case 1:
      world.engine.scheduler = "sglang";
      world.engine.step_tokens = std::max(world.engine.step_tokens, Tokens{64});
      world.engine.rules = sglang_rules(ranks, draw(0, 1) == 0);
      if (ranks > 1 && draw(0, 1) == 0) world.rules.delay_steps = 3;
      if (ranks > 1 && world.engine.acceptance.size() > 1) world.rules.prefill_alone = true;
      break;
    default:
      break;
  }
  if (draw(0, 1) == 0) world.workload = closed_loop(draw(1, 12));
  world.host.overlapped = draw(0, 4) == 0;
  if (draw(0, 6) == 0) world.host.prompt_token = Duration{draw(100, 5000)};
  return world;
}

TEST_CASE("steady steps: 2,000 random worlds, the same bytes as step by step") {
  constexpr std::size_t kWorlds = 2000;
  struct Seen {
    std::string difference;
    std::int64_t runs = 0, steps = 0;
  };
  std::vector<Seen> seen(kWorlds);
  parallel_for(
      kWorlds,
      [&](std::size_t i) {
        const World world = random_world(i + 1);
        std::int64_t runs = 0, none = 0;
        const RunResult fast = world.play(true, runs), plain = world.play(false, none);
        seen[i] = {difference(fast, plain), runs, fast.totals.steps};
        if (none > 0) seen[i].difference = "steps were skipped that should not be";
      },
      2);
  std::int64_t runs = 0, steps = 0;
  for (std::size_t i = 0; i < kWorlds; ++i) {
    CAPTURE(i + 1);
    CHECK(seen[i].difference == "");
    runs += seen[i].runs;
    steps += seen[i].steps;
  }
  CHECK(runs > 10'000);
  CHECK(steps > 5 * runs);
}

Scenario scenario_of(const std::string& rest) {
  return parse_scenario(
      "hardware: hgx-b200\n"
      "workload:\n"
      "  synthetic:\n"
      "    sessions: 60\n"
      "    turns_min: 1\n"
      "    turns_max: 3\n"
      "    first_prompt: {kind: lognormal, mean: 3000, sigma: 1, min: 8, max: 60000}\n"
      "    next_prompt: {kind: lognormal, mean: 200, sigma: 1, min: 8, max: 2000}\n"
      "    output: {kind: lognormal, mean: 200, sigma: 1, min: 1, max: 3000}\n"
      "    think_time_mean: 2 s\n" +
          rest,
      "steady.yaml");
}

TEST_CASE("steady steps: with measured modules, layers and rooflines") {
  const std::string loop = "  arrivals: {mode: closed_loop, sessions_at_a_time: 12}\n";
  for (const std::string& rest : std::vector<std::string>{
           "  arrivals: {mode: poisson, rate_per_s: 4}\nmodel: deepseek-v4-flash\n"
           "deployment: {tensor_parallel: 4}\nkv_cache: {swa_policy: checkpoint=2048}\n",
           loop + "model: deepseek-v4-pro\ndeployment: {data_parallel: 8}\n",
           loop + "model: deepseek-v4-pro\nkv_cache: {layout: sglang}\n",
           loop + "model: deepseek-v3.2\n",
           loop + "model: deepseek-v4-flash\nprofile: none\ndeployment: {tensor_parallel: 4, "
                  "data_parallel: 2}\n"}) {
    CAPTURE(rest);
    const Scenario scenario = scenario_of(rest);
    const Trace trace = load_workload(scenario);
    const ScenarioCost cost = make_cost(scenario);
    const auto play = [&](bool skips) {
      const auto replica = make_replica(scenario);
      return run_parts(scenario, trace, *replica, *cost.model, {.skips_steady = skips});
    };
    const RunResult fast = play(true), plain = play(false);
    CHECK(difference(fast, plain) == "");
    CHECK(fast.totals.steps > 1000);
  }
}

// A deployment whose steps have measured times, with all its attention ranks, and numbers at random.
class MeasuredWorld {
 public:
  explicit MeasuredWorld(const std::string& text)
      : scenario_(scenario_of(text)), cost_(make_cost(scenario_)) {}

  std::size_t ranks() const { return static_cast<std::size_t>(scenario_.deployment.data_parallel); }
  const CostModel& model() const { return *cost_.model; }
  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  // To the last bit what these plans take by themselves.
  bool takes(const StepTime& time, const std::vector<const StepPlan*>& plans) const {
    const StepTime plain = cost_.model->step_time(plans);
    return time.total == plain.total && time.gpu == plain.gpu && time.host == plain.host &&
           time.clamped == plain.clamped && same(time.share, plain.share);
  }

 private:
  Scenario scenario_;
  ScenarioCost cost_;
  RandomEngine random_ = RandomStreams(7).stream("steps");
};

const std::vector<std::string> kMeasuredWorlds = {
    "model: deepseek-v4-flash\ndeployment: {tensor_parallel: 4}\n",
    "model: deepseek-v4-pro\ndeployment: {tensor_parallel: 8}\nkv_cache: {layout: sglang}\n",
    "model: deepseek-v4-pro\ndeployment: {data_parallel: 4, tensor_parallel: 2}\n"};

TEST_CASE("steady steps: a run of measured decode steps is each of them, to the last bit") {
  for (const std::string& text : kMeasuredWorlds) {
    CAPTURE(text);
    MeasuredWorld world(text);
    for (int trial = 0; trial < 30; ++trial) {
      std::vector<StepPlan> plans(world.ranks());
      for (StepPlan& plan : plans) {
        // From no context on, around the window and far beyond what was measured.
        const std::int64_t longest = std::int64_t{1} << world.draw(1, 20);
        for (std::int64_t n = world.draw(&plan == &plans.front() ? 1 : 0, 40); n > 0; --n) {
          plan.pieces.push_back(
              {0, PieceKind::decode, true, Tokens{world.draw(1, longest)}, Tokens{1}});
        }
      }
      std::vector<const StepPlan*> ranks;
      for (const StepPlan& plan : plans) ranks.push_back(&plan);
      const auto run = world.model().decode_run(ranks);
      REQUIRE(run != nullptr);
      bool equal = true;
      for (int step = 0; step < 700; ++step) {
        equal = equal && world.takes(run->next(), ranks);
        for (StepPlan& plan : plans) {
          for (StepPiece& piece : plan.pieces) piece.past += Tokens{1};
        }
      }
      CHECK(equal);
    }
  }
}

TEST_CASE("steady steps: a step that goes on from the one before takes what it takes alone") {
  for (const std::string& text : kMeasuredWorlds) {
    CAPTURE(text);
    MeasuredWorld world(text);
    const std::size_t ranks = world.ranks();
    std::vector<std::vector<std::int64_t>> decoding(ranks);
    bool equal = true;
    for (int step = 0; step < 3000; ++step) {
      std::vector<StepPlan> plans(ranks);
      const std::int64_t further = world.draw(0, 20) == 0 ? world.draw(0, 300) : 1;
      for (std::size_t i = 0; i < ranks; ++i) {
        std::vector<std::int64_t>& past = decoding[i];
        for (std::int64_t& tokens : past) tokens += further;
        // Now and then somebody comes, ends, changes places, stands by or begins anew.
        if (past.empty() || world.draw(0, 5) == 0)
          past.push_back(world.draw(1, std::int64_t{1} << world.draw(1, 16)));
        const auto any = [&] { return past.begin() + world.draw(0, std::ssize(past) - 1); };
        if (world.draw(0, 6) == 0 && past.size() > 1) past.erase(any());
        if (world.draw(0, 30) == 0) std::swap(*any(), *any());
        if (world.draw(0, 30) == 0) --*any();
        if (world.draw(0, 30) == 0) *any() = world.draw(1, 4096);
        for (const std::int64_t tokens : past) {
          plans[i].pieces.push_back({0, PieceKind::decode, true, Tokens{tokens}, Tokens{1}});
        }
        for (std::int64_t chunks = world.draw(-2, 2); chunks > 0; --chunks) {
          plans[i].pieces.push_back({0, PieceKind::prefill, world.draw(0, 1) == 0,
                                     Tokens{world.draw(0, 8000)}, Tokens{world.draw(1, 600)}});
        }
      }
      std::vector<const StepPlan*> all;
      bool decodes_only = true;
      for (const StepPlan& plan : plans) {
        all.push_back(&plan);
        decodes_only = decodes_only && plan.pieces.back().kind == PieceKind::decode;
      }
      if (!decodes_only || world.draw(0, 1) == 0) {
        equal = equal && world.takes(world.model().quick_time(all), all);
        continue;
      }
      const auto run = world.model().decode_run(all);
      for (std::int64_t steps = world.draw(1, 40); steps > 0; --steps) {
        equal = equal && world.takes(run->next(), all);
        for (std::size_t i = 0; i < ranks; ++i) {
          for (StepPiece& piece : plans[i].pieces) piece.past += Tokens{1};
          if (steps > 1) {
            for (std::int64_t& tokens : decoding[i]) ++tokens;
          }
        }
      }
    }
    CHECK(equal);
  }
}

}  // namespace
}  // namespace v4cap
