#include "sim/cluster/cluster.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "sim/config/engine_file.h"
#include "sim/core/parallel.h"
#include "sim/output/cluster_summary.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

constexpr Duration kMs{1'000'000};

SimTime ms(std::int64_t n) {
  return SimTime{kMs * n};
}

struct ToyCluster {
  ToyEngine engine;
  std::size_t ranks = 1;
  ClusterConfig config;
  std::uint64_t seed = 1;
  HostRules host;

  RunResult play(const Trace& trace, const WorkloadConfig& workload, const CostModel& cost) const {
    Trace played = trace;
    if (workload.arrivals == ArrivalMode::client) add_warmups(workload, played);
    Workload world(played, workload, seed);
    ClusterParts parts{
        .make_replica = [this] { return std::make_unique<Replica>(toy_ranks(engine, ranks)); },
        .cost = &cost,
        .config = config,
        .seed = seed};
    return Simulation(played, world, std::move(parts), host).run();
  }
};

ClusterConfig replicas(std::int64_t count, const std::string& router = "round_robin") {
  ClusterConfig config;
  config.replicas = count;
  config.router = router;
  config.window = kMs * 100;
  return config;
}

ToyCluster toy_cluster(const ClusterConfig& config, std::size_t ranks = 1) {
  ToyCluster cluster;
  cluster.config = config;
  cluster.ranks = ranks;
  return cluster;
}

FaultConfig fault(const std::string& kind, std::int64_t at_ms, std::int64_t for_ms,
                  std::int64_t replica = 0) {
  FaultConfig f;
  f.kind = kind;
  f.at = kMs * at_ms;
  f.lasts = kMs * for_ms;
  f.replica = replica;
  return f;
}

std::vector<std::string> happened(const RunResult& result) {
  std::vector<std::string> out;
  for (const ClusterEvent& e : result.cluster->events) {
    const std::int64_t at_ms = e.at.time_since_epoch() / kMs;
    out.push_back(std::to_string(at_ms) + ": " + std::to_string(e.replica) + ' ' + e.what);
  }
  return out;
}

using Lines = std::vector<std::string>;

// How long a replica was up and its GPUs were held, by what happened to it: what the report works
// out of cluster_events.csv.
struct TimesByEvents {
  Duration up{}, held{};
};

TimesByEvents times_by_events(const RunResult& result, std::size_t n) {
  struct State {
    bool up = false, held = false;
  };
  static const std::map<std::string, State> kAfter = {{"up", {true, true}},
                                                      {"stays", {true, true}},
                                                      {"starts", {false, true}},
                                                      {"stopped", {false, false}},
                                                      {"lost", {false, true}},
                                                      {"down, planned", {false, true}},
                                                      {"drains to restart", {true, true}},
                                                      {"drains to stop", {true, true}}};
  std::vector<const ClusterEvent*> events;
  for (const ClusterEvent& event : result.cluster->events) {
    if (event.replica == n && kAfter.contains(event.what)) events.push_back(&event);
  }
  const ReplicaResult& replica = result.cluster->replicas[n];
  if (events.empty()) return {replica.up, replica.held};
  const std::string& first = events.front()->what;
  State state{first != "up" && first != "starts", first != "starts"};
  SimTime since = result.totals.first_arrival;
  TimesByEvents times;
  const auto pass = [&](SimTime until) {
    const Duration passed = std::max(until - since, Duration{0});
    if (state.up) times.up += passed;
    if (state.held) times.held += passed;
    since = until;
  };
  for (const ClusterEvent* event : events) {
    pass(event->at);
    state = kAfter.at(event->what);
  }
  pass(result.totals.last_finish);
  return times;
}

TEST_CASE("cluster: one replica in a cluster ends every request as that replica alone") {
  const Trace trace = random_sessions(5, 60);
  ToyCluster cluster = toy_cluster(replicas(1));
  cluster.engine = tight_engine("checkpoint=128");
  const RunResult many = cluster.play(trace, closed_loop(20), LinearCost{});
  const RunResult one = play(trace, closed_loop(20), cluster.engine, LinearCost{});
  REQUIRE(many.records.size() == one.records.size());
  for (std::size_t i = 0; i < one.records.size(); ++i) {
    CHECK(many.records[i].finished == one.records[i].finished);
    CHECK(many.records[i].hit == one.records[i].hit);
  }
  CHECK(many.totals.events == one.totals.events);
  CHECK(many.totals.busy == one.totals.busy);
  CHECK(many.totals.evicted == one.totals.evicted);
  CHECK(many.totals.kv_peak == one.totals.kv_peak);
}

TEST_CASE("cluster: replicas run their steps on their own") {
  Trace trace;
  add_request(trace, 100, 3, ms(0));
  add_request(trace, 200, 3, ms(0));
  const ToyCluster cluster = toy_cluster(replicas(2));
  const RunResult result = cluster.play(trace, {}, LinearCost{});
  // A prompt of so many tokens, then two steps of one: 1 ms + 1 us a token.
  CHECK(result.records[0].finished == ms(0) + Duration{1'100'000 + 2 * 1'001'000});
  CHECK(result.records[1].finished == ms(0) + Duration{1'200'000 + 2 * 1'001'000});
  CHECK(result.records[0].replica == 0);
  CHECK(result.records[1].replica == 1);
  CHECK(result.totals.steps == 6);
  CHECK(result.cluster->replicas[0].steps.steps == 3);
}

TEST_CASE("cluster: conservation under memory pressure, with every router and host") {
  for (const std::string router : {"round_robin", "shortest_queue", "least_tokens", "session",
                                   "prefix_affinity=0.2", "weighted"}) {
    for (const bool overlapped : {false, true}) {
      CAPTURE(router);
      CAPTURE(overlapped);
      std::int64_t preemptions = 0;
      for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        CAPTURE(seed);
        ToyCluster cluster =
            toy_cluster(replicas(1 + static_cast<std::int64_t>(seed), router), 1 + seed % 2);
        cluster.engine = tight_engine("checkpoint=128");
        cluster.seed = seed;
        cluster.host.overlapped = overlapped;
        if (overlapped) cluster.host.prompt_token = Duration{2000};
        const Trace trace = random_sessions(seed, 60);
        // Simulation::run checks that no request is lost or ends twice, and Little's law.
        const RunResult result = cluster.play(trace, closed_loop(60), LinearCost{});
        const RunTotals& t = result.totals;
        CHECK(t.finished + t.refused == static_cast<std::int64_t>(trace.requests.size()));
        StepTotals sum;
        for (const ReplicaResult& r : result.cluster->replicas) sum += r.steps;
        CHECK(sum.written == t.written);
        CHECK(sum.steps == t.steps);
        Duration named = t.binding.running_cap + t.binding.step_tokens +
                         t.binding.nothing_waits_decode + t.binding.nothing_waits_prefill;
        for (const auto& [pool, time] : t.binding.memory_pools) named += time;
        CHECK(named == t.busy);
        preemptions += t.preemptions;
      }
      CHECK(preemptions > 0);
    }
  }
}

double hit_rate(const RunResult& result) {
  return static_cast<double>(result.totals.hit_tokens.value) /
         static_cast<double>(result.totals.prompt_tokens.value);
}

TEST_CASE("cluster: sessions that stay, and prefixes that are looked for, keep their hits") {
  const Trace trace = random_sessions(4, 80);
  const auto rate = [&](const std::string& router) {
    const ToyCluster cluster = toy_cluster(replicas(4, router));
    return hit_rate(cluster.play(trace, closed_loop(16), LinearCost{}));
  };
  const double one = hit_rate(play(trace, closed_loop(16), {}, LinearCost{}));
  CHECK(rate("prefix_affinity") > 0.9 * one);
  CHECK(rate("weighted=2,1") > 0.9 * one);
  CHECK(rate("session") > 0.8 * one);
  CHECK(rate("round_robin") < 0.75 * one);
}

// Two turns of one session whose second goes on where the first ended.
Trace two_turns(SimTime second) {
  Trace trace;
  trace.block = Tokens{64};
  trace.session_names = {"0"};
  trace.has_sessions = true;
  for (const std::int64_t prompt : {640, 700}) {
    trace.runs.push_back({1000, prompt / 64});
    TraceRequest& r = add_request(trace, prompt, 1, prompt == 640 ? ms(0) : second);
    r.session = 0;
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size() - 1);
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
  }
  trace.next_free_id = 2000;
  return trace;
}

TEST_CASE("fault: a replica that was lost comes back with an empty cache") {
  ToyCluster cluster = toy_cluster(replicas(1));
  CHECK(cluster.play(two_turns(ms(100)), {}, LinearCost{}).records[1].hit == Tokens{640});
  cluster.config.faults = {fault("replica_lost", 50, 20)};
  const RunResult lost = cluster.play(two_turns(ms(100)), {}, LinearCost{});
  CHECK(lost.records[1].hit == Tokens{0});
  CHECK(happened(lost) == Lines{"50: 0 lost", "70: 0 up"});
  const ReplicaResult& replica = lost.cluster->replicas[0];
  CHECK(replica.lost.total() == Bytes{10});  // of ten blocks
  CHECK(replica.steps.evicted == replica.lost);
  CHECK(lost.totals.written.total() == Bytes{20});
  CHECK(replica.up == lost.totals.last_finish - ms(20));
  CHECK(replica.held == lost.totals.last_finish - ms(0));
  // While it is down, a request waits.
  const RunResult meanwhile = cluster.play(two_turns(ms(60)), {}, LinearCost{});
  CHECK(meanwhile.records[1].admitted == ms(70));
  CHECK(meanwhile.records[1].retries == 0);
}

Trace long_requests(std::int64_t count, std::int64_t output) {
  Trace trace;
  for (std::int64_t i = 0; i < count; ++i) add_request(trace, 10, output, ms(0));
  return trace;
}

TEST_CASE("fault: requests of a lost replica are sent again whole, elsewhere or on its return") {
  const ConstantCost cost(kMs);
  ToyCluster cluster = toy_cluster(replicas(2));
  cluster.config.faults = {fault("replica_lost", 10, 100)};
  const RunResult elsewhere = cluster.play(long_requests(2, 50), {}, cost);
  CHECK(elsewhere.records[0].replica == 1);
  CHECK(elsewhere.records[0].retries == 1);
  CHECK(elsewhere.records[0].first_token == ms(11));
  CHECK(elsewhere.records[0].finished == ms(60));
  CHECK(elsewhere.records[1].retries == 0);
  CHECK(elsewhere.cluster->replicas[0].lost_requests == 1);
  CHECK(elsewhere.cluster->replicas[0].lost_tokens == Tokens{19});  // prompt and nine more
  // It was noticed later.
  cluster.config.retry_delay = kMs * 5;
  CHECK(cluster.play(long_requests(2, 50), {}, cost).records[0].first_token == ms(16));
  cluster.config.retry_delay = {};
  cluster.config.retry_on_return = true;
  const RunResult again = cluster.play(long_requests(2, 50), {}, cost);
  CHECK(again.records[0].replica == 0);
  CHECK(again.records[0].first_token == ms(111));
}

TEST_CASE("fault: a request fails when it was lost too often, and is counted once") {
  ToyCluster cluster = toy_cluster(replicas(1));
  cluster.config.retry_limit = 2;
  for (const std::int64_t at : {10, 30, 50}) {
    cluster.config.faults.push_back(fault("replica_lost", at, 10));
  }
  const RunResult result = cluster.play(long_requests(2, 15), {}, ConstantCost(kMs));
  CHECK(result.totals.failed == 2);
  CHECK(result.totals.finished == 0);
  CHECK(result.records[1].end == RequestEnd::failed);
  CHECK(result.records[1].retries == 2);
  CHECK(result.records[1].finished == ms(50));
  CHECK(result.cluster->replicas[0].lost_requests == 6);
  cluster.config.retry_limit = 3;
  CHECK(cluster.play(long_requests(2, 15), {}, ConstantCost(kMs)).totals.finished == 2);
}

TEST_CASE("fault: a rank is lost while the others go on, and back when it should be") {
  ToyCluster cluster = toy_cluster(replicas(1), 2);
  FaultConfig lost = fault("rank_lost", 10, 20);
  lost.rank = 1;
  cluster.config.faults = {lost};
  Trace trace = long_requests(2, 50);  // one on each rank
  add_request(trace, 10, 50, ms(15));  // only the first is there
  add_request(trace, 10, 50, ms(35));
  const RunResult result = cluster.play(trace, {}, ConstantCost(kMs));
  CHECK(result.records[0].finished == ms(50));
  CHECK(result.records[1].finished == ms(60));  // on the first rank, anew
  CHECK(result.records[1].retries == 1);
  CHECK(happened(result) == Lines{"10: 0 rank 1 lost", "30: 0 rank 1 back"});
  // The last rank that is there takes the replica with it.
  FaultConfig other = fault("rank_lost", 15, 20);
  cluster.config.faults.push_back(other);
  const RunResult both = cluster.play(long_requests(2, 50), {}, ConstantCost(kMs));
  CHECK(happened(both) == Lines{"10: 0 rank 1 lost", "15: 0 lost", "35: 0 up"});
  CHECK(both.records[0].finished == ms(85));
}

TEST_CASE("fault: everyone waits for a slow rank, as long as it has something to do") {
  ToyCluster cluster = toy_cluster(replicas(1), 2);
  FaultConfig slow = fault("slow_rank", 10, 20);
  slow.rank = 0;
  slow.factor = 4;
  cluster.config.faults = {slow};
  const RunResult result = cluster.play(long_requests(2, 50), {}, ConstantCost(kMs));
  // From 10 to 30 ms every step takes 4 ms: 5 steps, then 35 of 1 ms.
  CHECK(result.records[1].finished == ms(65));
  CHECK(result.records[1].retries == 0);
  cluster.config.faults[0].rank = 1;
  CHECK(cluster.play(long_requests(1, 50), {}, ConstantCost(kMs)).records[0].finished == ms(50));
}

TEST_CASE("fault: a planned restart loses no request") {
  ToyCluster cluster = toy_cluster(replicas(2));
  cluster.config.faults = {fault("restart", 10, 30)};
  Trace trace = long_requests(2, 50);
  add_request(trace, 10, 5, ms(20));
  add_request(trace, 10, 5, ms(21));
  const RunResult result = cluster.play(trace, {}, ConstantCost(kMs));
  CHECK(result.records[0].finished == ms(50));
  CHECK(result.records[2].replica == 1);
  CHECK(result.records[3].replica == 1);
  CHECK(happened(result) == Lines{"10: 0 drains to restart", "50: 0 down, planned"});
}

AutoscaleConfig scaling(const std::string& policy, std::int64_t max) {
  AutoscaleConfig a;
  a.policy = policy;
  a.max = max;
  a.start_up = kMs * 40;
  a.interval = kMs * 10;
  a.hold = kMs * 30;
  return a;
}

TEST_CASE(
    "autoscaling: replicas start with the load, take their time, and drain before they stop") {
  ToyCluster cluster = toy_cluster(replicas(1, "shortest_queue"));
  cluster.engine.max_running = 4;
  cluster.config.autoscale = scaling("requests=4", 3);
  Trace trace;
  for (std::int64_t i = 0; i < 40; ++i) add_request(trace, 10, 20, ms(i));
  for (std::int64_t i = 0; i < 60; ++i) add_request(trace, 10, 20, ms(60 + 2 * i));
  add_request(trace, 10, 300, ms(900));  // later, and alone
  const RunResult result = cluster.play(trace, {}, ConstantCost(kMs));
  const Lines lines = happened(result);
  REQUIRE(lines.size() >= 5);
  CHECK(lines[0] == "10: 1 starts");
  CHECK(lines[1] == "10: 2 starts");
  CHECK(lines[2] == "50: 1 up");
  CHECK(lines[3] == "50: 2 up");
  CHECK(std::ranges::count_if(lines, [](const std::string& l) { return l.ends_with("stopped"); }) ==
        2);
  CHECK(result.totals.finished == 101);
  CHECK(result.records[100].replica == 0);
  const auto& rows = result.cluster->replicas;
  CHECK(rows[1].held == rows[1].up + kMs * 40);
  CHECK(rows[0].held == result.totals.last_finish - ms(0));
  const RunResult alone = [&] {
    ToyCluster one = cluster;
    one.config.autoscale.reset();
    return one.play(trace, {}, ConstantCost(kMs));
  }();
  CHECK(result.records[99].finished < alone.records[99].finished);
}

TEST_CASE("autoscaling: by the queue, one replica at a time, within its bounds") {
  ToyCluster cluster = toy_cluster(replicas(1, "shortest_queue"));
  cluster.engine.max_running = 2;
  cluster.config.autoscale = scaling("queue=2,1", 2);
  Trace trace;
  for (std::int64_t i = 0; i < 60; ++i) add_request(trace, 10, 20, ms(0));
  const RunResult result = cluster.play(trace, {}, ConstantCost(kMs));
  const Lines lines = happened(result);
  REQUIRE(lines.size() >= 2);
  CHECK(lines[0] == "10: 1 starts");
  CHECK(lines[1] == "50: 1 up");
  CHECK(result.totals.finished == 60);
  CHECK_THROWS_AS(make_scaling("queue=0,1"), InputError);
  CHECK_THROWS_AS(make_scaling("requests=0"), InputError);
  CHECK_THROWS_AS(make_scaling("request"), InputError);
}

// Everything at once, at random.
ToyCluster random_cluster(std::uint64_t seed) {
  ToyCluster cluster = toy_cluster(replicas(1 + static_cast<std::int64_t>(seed % 4)), 1 + seed % 3);
  cluster.engine = tight_engine(seed % 3 == 0 ? "full" : "checkpoint=128");
  if (seed % 8 < 3) {
    cluster.engine.scheduler = "sglang";
    cluster.engine.rules.options = known_engine("sglang").scheduler->options;
  }
  cluster.seed = seed;
  const Lines routers = {"round_robin",         "shortest_queue", "session",
                         "prefix_affinity=0.2", "weighted",       "least_tokens"};
  ClusterConfig& config = cluster.config;
  config.router = routers[seed % routers.size()];
  config.retry_limit = static_cast<std::int64_t>(seed % 5);
  config.retry_delay = kMs * static_cast<std::int64_t>(seed % 4 * 7);
  config.retry_on_return = seed % 2 == 0;
  if (seed % 3 == 1) config.autoscale = scaling("requests=6", config.replicas + 2);
  RandomEngine random = RandomStreams(seed).stream("fault schedule");
  const auto draw = [&](std::uint64_t most) {
    return 1 + static_cast<std::int64_t>(random() % most);
  };
  Lines kinds = FaultKinds::names();
  std::erase_if(kinds, [](const std::string& name) {
    const FaultKind& kind = *FaultKinds::find(name);
    return kind.of_tier || kind.of_link;  // there are no tiers: tier_faults_test.cpp has some
  });
  const std::int64_t count = draw(12);
  for (std::int64_t i = 0; i < count; ++i) {
    FaultConfig f = fault(kinds[random() % kinds.size()], draw(1500), draw(300),
                          draw(static_cast<std::uint64_t>(config.most_replicas())) - 1);
    f.rank = draw(cluster.ranks) - 1;
    f.factor = static_cast<double>(draw(5));
    if (random() % 4 == 0) {
      f.at.reset();
      f.mtbf = kMs * draw(800);
    }
    config.faults.push_back(f);
  }
  cluster.host.overlapped = seed % 5 < 2;
  if (seed % 7 == 0) cluster.host.prompt_token = Duration{3000};
  return cluster;
}

TEST_CASE("fault: 200 random schedules lose no request, answer none twice, and repeat themselves") {
  struct Seen {
    std::uint64_t first = 0, second = 0;
    std::int64_t finished = 0, failed = 0, retried = 0, disturbances = 0, requests = 0;
    bool balanced = false, told = true;
  };
  std::vector<Seen> seen(200);
  parallel_for(
      seen.size(),
      [&](std::size_t i) {
        const std::uint64_t seed = i + 1;
        const Trace trace = random_sessions(seed, 30);
        const ToyCluster cluster = random_cluster(seed);
        const WorkloadConfig workload = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
        // Simulation::run checks that every request ends once, that memory which is written is
        // cached or evicted, and Little's law; engines check their books when they are lost.
        const RunResult result = cluster.play(trace, workload, LinearCost{});
        Seen& s = seen[i];
        s.first = result.totals.result_hash;
        s.second = cluster.play(trace, workload, LinearCost{}).totals.result_hash;
        s.requests = static_cast<std::int64_t>(trace.requests.size());
        s.finished = result.totals.finished + result.totals.refused;
        s.failed = result.totals.failed;
        const ClusterSummary summary = summarise_cluster(result);
        s.retried = summary.retried;
        s.disturbances = summary.disturbances;
        s.balanced = true;
        for (const ReplicaResult& r : result.cluster->replicas) {
          for (std::size_t k = 0; k < kCacheKinds; ++k) {
            s.balanced &= r.steps.written.bytes[k] >= r.steps.evicted.bytes[k];
            s.balanced &= r.steps.evicted.bytes[k] >= r.lost.bytes[k];
          }
          s.balanced &= r.up <= r.held;
        }
        for (std::size_t n = 0; n < result.cluster->replicas.size(); ++n) {
          const TimesByEvents times = times_by_events(result, n);
          const ReplicaResult& r = result.cluster->replicas[n];
          s.told &= times.up == r.up && times.held == r.held;
        }
      },
      2);
  std::int64_t failed = 0, retried = 0, disturbances = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CAPTURE(i);
    CHECK(seen[i].first == seen[i].second);
    CHECK(seen[i].finished + seen[i].failed == seen[i].requests);
    CHECK(seen[i].balanced);
    CHECK(seen[i].told);
    failed += seen[i].failed;
    retried += seen[i].retried;
    disturbances += seen[i].disturbances;
  }
  CHECK(failed > 50);
  CHECK(retried > 500);
  CHECK(disturbances > 1000);
}

TEST_CASE("fault: at random, as often as the mean time between them says, in each replica") {
  ToyCluster cluster = toy_cluster(replicas(4, "shortest_queue"));
  FaultConfig f = fault("replica_lost", 0, 20);
  f.at.reset();
  f.mtbf = kMs * 180;
  cluster.config.faults = {f};
  cluster.config.retry_limit = 1000;
  Trace trace;
  for (std::int64_t i = 0; i < 2000; ++i) add_request(trace, 10, 5, ms(10 * i));
  const RunResult result = cluster.play(trace, {}, ConstantCost(kMs));
  std::vector<std::int64_t> faults(4);
  for (const ClusterEvent& e : result.cluster->events) faults[e.replica] += e.disturbs ? 1 : 0;
  for (const std::int64_t count : faults) {
    CHECK(count > 60);  // 100 expected in 20 s, sigma 9
    CHECK(count < 140);
  }
  const double up = to_seconds(result.cluster->replicas[0].up);
  CHECK(up == doctest::Approx(0.9 * 20).epsilon(0.05));
}

TEST_CASE("cluster: a warm-up is forgotten in every replica") {
  WorkloadConfig client;
  client.arrivals = ArrivalMode::client;
  client.concurrency = 6;
  client.warmup_requests = 5;
  Trace trace;
  for (int i = 0; i < 30; ++i) add_request(trace, 100, 8);
  const ToyCluster cluster = toy_cluster(replicas(3, "shortest_queue"));
  const RunResult result = cluster.play(trace, client, LinearCost{});
  CHECK(result.warmup.size() == 5);
  CHECK(result.totals.finished == 30);
  StepTotals sum;
  for (const ReplicaResult& r : result.cluster->replicas) sum += r.steps;
  CHECK(sum.decoded == result.totals.decoded);
  CHECK(result.totals.decoded == Tokens{30 * 7});
}

TEST_CASE("cluster: what is said of it counts every request once, and shows the cache warm up") {
  ToyCluster cluster = toy_cluster(replicas(2, "session"));
  cluster.config.faults = {fault("replica_lost", 1000, 10, 0)};
  // Sessions that ask again every 100 ms; after the fault half of them find nothing.
  Trace trace;
  trace.block = Tokens{64};
  trace.has_sessions = true;
  for (int s = 0; s < 8; ++s) trace.session_names.push_back(std::to_string(s));
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int32_t s = 0; s < 8; ++s) {
      trace.runs.push_back({1000 * (s + 1), 10});
      TraceRequest& r = add_request(trace, 650, 2, ms(100 * i + (i > 0 ? 5 * s : 0)));
      r.session = s;
      r.runs_begin = static_cast<std::uint32_t>(trace.runs.size() - 1);
      r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    }
  }
  trace.next_free_id = 20'000;
  const RunResult result = cluster.play(trace, {}, LinearCost{});
  const ClusterSummary summary = summarise_cluster(result);
  CHECK(summary.replicas[0].requests + summary.replicas[1].requests == 160);
  CHECK(summary.disturbances == 1);
  REQUIRE(summary.after.size() == 7);
  CHECK(summary.after[0].from_s == -0.1);
  const double warm = 640.0 / 650;
  CHECK(summary.after[0].hit_rate == doctest::Approx(warm));
  CHECK(summary.after[1].hit_rate == doctest::Approx(warm / 2));
  CHECK(summary.after[2].hit_rate == doctest::Approx(warm));
  CHECK(summary.after[1].ttft_ms.p99 > summary.after[0].ttft_ms.p99);
  std::int64_t in_windows = 0;
  for (const WindowSummary& w : summary.windows) in_windows += w.requests;
  CHECK(in_windows == 160);
  // 2 GPUs in all, both held all the time.
  CHECK(summary.gpu_hours == doctest::Approx(to_seconds(result.totals.last_finish - ms(0)) / 3600));
}

}  // namespace
}  // namespace v4cap
