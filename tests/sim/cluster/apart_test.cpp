// Replicas that go on apart, on any number of threads: every byte is as if all that happens in any
// of them had been handled in order of time, step by step.
#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "sim/core/parallel.h"
#include "sim/output/cluster_summary.h"
#include "tests/sim/cluster/random_sessions.h"
#include "tests/sim/cluster/same_run.h"

namespace v4cap {
namespace {

constexpr Duration kMs{1'000'000};

struct How {
  bool apart = true, skips = true;
  unsigned threads = 1;
  RecordRules records{};
};

struct World {
  Trace trace;
  WorkloadConfig workload;
  ToyEngine engine;
  std::size_t ranks = 1;
  ClusterConfig config;
  HostRules host;
  std::uint64_t seed = 1;
  std::int64_t most_dealt = 1;

  // `seen`: how often steps were taken together, and threads took part.
  struct Seen {
    std::int64_t runs = 0, threads = 0;
  };
  RunResult play(const How& how, Seen* seen = nullptr) const {
    const RunsCost cost;
    std::int64_t lanes = 0;
    ToyEngine built = engine;
    built.asks_always = !how.skips;
    Workload world(trace, workload, seed);
    ClusterParts parts{
        .make_replica = [&] { return std::make_unique<Replica>(toy_ranks(built, ranks)); },
        .cost = &cost,
        .config = config,
        .seed = seed,
        .threads = how.threads,
        .make_cost =
            [&lanes] {
              ++lanes;
              return std::make_unique<RunsCost>();
            },
        .apart = how.apart,
        .most_dealt = most_dealt};
    HostRules rules = host;
    rules.skips_steady = how.skips;
    RunResult result = Simulation(trace, world, std::move(parts), rules, how.records).run();
    if (seen != nullptr) *seen = {cost.runs, lanes};
    return result;
  }
};

// Turns of a session come at their times, whether the ones before have ended or not.
void let_go(Trace& trace) {
  trace.after.clear();
  for (TraceRequest& r : trace.requests) r.after_begin = r.after_end = 0;
}

FaultConfig random_fault(RandomEngine& random, std::int64_t replicas, std::size_t ranks) {
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  const std::vector<std::string> kinds = {"replica_lost", "restart", "slow_rank", "rank_lost"};
  FaultConfig fault;
  fault.kind = kinds[static_cast<std::size_t>(draw(0, 3))];
  if (draw(0, 2) > 0) {
    fault.at = kMs * draw(0, 700);
  } else {
    fault.mtbf = kMs * draw(50, 600);
  }
  fault.lasts = kMs * draw(1, 300);
  fault.replica = draw(0, replicas - 1);
  if (draw(0, 3) == 0) fault.replica.reset();
  fault.rank = draw(0, static_cast<std::int64_t>(ranks) - 1);
  fault.factor = 3;
  return fault;
}

World random_world(std::uint64_t seed) {
  RandomEngine random = RandomStreams(seed).stream("apart");
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  World world;
  world.seed = seed;
  world.trace = random_sessions(seed, static_cast<int>(draw(3, 40)));
  const std::vector<std::string> policies = {"full", "checkpoint=128", "tail", "recompute",
                                             "pool=0.3"};
  world.engine = tight_engine(policies[static_cast<std::size_t>(draw(0, 4))]);
  if (draw(0, 2) == 0) world.engine.costs.capacity *= 20;  // no pressure
  world.engine.max_running = draw(1, 12);
  world.engine.step_tokens = Tokens{draw(32, 512)};
  if (draw(0, 5) == 0) world.engine.acceptance = {0.4, 0.3, 0.3};
  world.ranks = static_cast<std::size_t>(draw(0, 2) == 0 ? draw(2, 3) : 1);
  world.host.overlapped = draw(0, 4) == 0;
  if (draw(0, 4) == 0) world.host.prompt_token = Duration{draw(100, 5000)};
  world.most_dealt = draw(1, 60);

  world.config.replicas = draw(1, 6);
  world.config.window = kMs * draw(20, 200);
  const std::vector<std::string> routers = {"shortest_queue", "least_tokens", "session",
                                            "prefix_affinity=0.2", "weighted"};
  if (draw(0, 4) == 0) world.config.router = routers[static_cast<std::size_t>(draw(0, 4))];
  if (draw(0, 2) == 0) {
    for (std::int64_t n = draw(1, 3); n > 0; --n) {
      world.config.faults.push_back(random_fault(random, world.config.replicas, world.ranks));
    }
    world.config.retry_limit = draw(0, 3);
    world.config.retry_delay = kMs * draw(0, 20);
    world.config.retry_on_return = draw(0, 2) == 0;
  }
  if (draw(0, 5) == 0) {
    world.config.autoscale = AutoscaleConfig{.policy = "requests=3",
                                             .min = 1,
                                             .max = world.config.replicas + draw(0, 3),
                                             .start_up = kMs * draw(1, 60),
                                             .interval = kMs * draw(5, 60),
                                             .hold = kMs * draw(0, 100)};
  }
  switch (draw(0, 5)) {
    case 0:
      world.workload = closed_loop(draw(1, 12));
      break;
    case 1:
      let_go(world.trace);
      world.workload.arrivals = ArrivalMode::burst;
      break;
    case 2:
      let_go(world.trace);
      break;
    case 3:  // all at the times of the trace, some of which wait for others
      break;
    default:
      let_go(world.trace);
      world.workload.arrivals = ArrivalMode::poisson;
      world.workload.rate_per_s = static_cast<double>(draw(5, 2000));
  }
  return world;
}

std::string text_of(const RunResult& result) {
  JsonWriter json;
  write_cluster(json, summarise_cluster(result));
  std::string out = json.text();
  write_cluster_events(*result.cluster, [&](std::string_view text) { out += text; });
  return out;
}

// As of single replicas, and of what a cluster has beside that.
std::string cluster_difference(const RunResult& a, const RunResult& b) {
  if (std::string differs = difference(a, b); !differs.empty()) return differs;
  for (std::size_t i = 0; i < a.records.size(); ++i) {
    const RequestRecord &x = a.records[i], &y = b.records[i];
    if (x.replica != y.replica || x.retries != y.retries || x.rank != y.rank) return "places";
  }
  if (text_of(a) != text_of(b)) return "summary";
  for (std::size_t n = 0; n < a.cluster->replicas.size(); ++n) {
    const ReplicaResult &x = a.cluster->replicas[n], &y = b.cluster->replicas[n];
    if (x.up != y.up || x.held != y.held || !(x.lost == y.lost)) return "times";
    if (x.steps.steps != y.steps.steps || !same(x.steps.share, y.steps.share)) return "steps";
    if (std::string differs = difference(x.occupancy, y.occupancy); !differs.empty()) {
      return "of a replica: " + differs;
    }
    if (x.ranks.size() != y.ranks.size()) return "ranks";
    for (std::size_t rank = 0; rank < x.ranks.size(); ++rank) {
      if (std::string differs = difference(x.ranks[rank], y.ranks[rank]); !differs.empty()) {
        return "of a rank: " + differs;
      }
    }
  }
  return "";
}

TEST_CASE("apart: 1,000 random clusters, the same bytes on any number of threads") {
  constexpr std::size_t kWorlds = 1000;
  std::vector<std::string> differs(kWorlds);
  std::vector<std::int64_t> steps(kWorlds);
  std::vector<World::Seen> in_order(kWorlds), apart(kWorlds);
  parallel_for(
      kWorlds,
      [&](std::size_t i) {
        const World world = random_world(i + 1);
        const RunResult plain = world.play({.apart = false, .skips = false});
        steps[i] = plain.totals.steps;
        for (const unsigned threads : {1U, 2U, 8U}) {
          const How how{.threads = threads};
          const std::string one = cluster_difference(plain, world.play(how, &apart[i]));
          if (!one.empty()) differs[i] = std::to_string(threads) + " threads: " + one;
        }
        const std::string skips =
            cluster_difference(plain, world.play({.apart = false}, &in_order[i]));
        if (!skips.empty()) differs[i] = "in order of time: " + skips;
      },
      2);
  std::int64_t all = 0, on_threads = 0, runs = 0;
  for (std::size_t i = 0; i < kWorlds; ++i) {
    CAPTURE(i + 1);
    CHECK(differs[i] == "");
    all += steps[i];
    on_threads += apart[i].threads > 0 ? 1 : 0;
    runs += in_order[i].runs;
  }
  CHECK(all > 100'000);
  CHECK(on_threads > 350);
  CHECK(runs > 10'000);
}

TEST_CASE("apart: long runs keep no records and say the same, with faults and without") {
  int struck = 0, streamed_runs = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    const World world = random_world(seed);
    const RunResult kept = world.play({.apart = false, .skips = false});
    std::vector<RequestRecord> records;
    How how{.threads = 2};
    how.records.most_kept = 5;
    how.records.not_kept = [&](const RequestRecord& r) { records.push_back(r); };
    RunResult streamed = world.play(how);
    if (!streamed.digest) continue;
    ++streamed_runs;
    REQUIRE(streamed.cluster->digest);
    CHECK(streamed.records.empty());
    CHECK(records.size() == kept.records.size());
    CHECK(streamed.totals.result_hash == kept.totals.result_hash);
    CHECK(streamed.totals.saturated == kept.totals.saturated);
    const ClusterSummary a = summarise_cluster(kept), b = summarise_cluster(streamed);
    const auto near = [](const Distribution& x, const Distribution& y) {
      return x.count == y.count &&
             std::abs(x.p50 - y.p50) <= QuantileSketch::kRelativeError * x.p50 &&
             std::abs(x.p99 - y.p99) <= QuantileSketch::kRelativeError * x.p99;
    };
    const auto same_windows = [&](const std::vector<WindowSummary>& x,
                                  const std::vector<WindowSummary>& y) {
      REQUIRE(x.size() == y.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(x[i].from_s == y[i].from_s);
        CHECK(x[i].to_s == y[i].to_s);
        CHECK(x[i].requests == y[i].requests);
        CHECK(x[i].retried == y[i].retried);
        CHECK(x[i].hit_rate == y[i].hit_rate);
        CHECK(near(x[i].ttft_ms, y[i].ttft_ms));
      }
    };
    same_windows(a.windows, b.windows);
    same_windows(a.after, b.after);
    same_windows(a.after_on_struck, b.after_on_struck);
    CHECK(a.disturbances == b.disturbances);
    CHECK(a.retried == b.retried);
    CHECK(a.failed == b.failed);
    struck += a.disturbances > 0 ? 1 : 0;
    REQUIRE(a.replicas.size() == b.replicas.size());
    for (std::size_t n = 0; n < a.replicas.size(); ++n) {
      CHECK(a.replicas[n].requests == b.replicas[n].requests);
      CHECK(a.replicas[n].hit_rate == b.replicas[n].hit_rate);
      CHECK(near(a.replicas[n].ttft_ms, b.replicas[n].ttft_ms));
    }
  }
  CHECK(streamed_runs > 100);
  CHECK(struck > 20);
}

}  // namespace
}  // namespace v4cap
