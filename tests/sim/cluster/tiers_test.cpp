// Tiers below GPU memory in the simulated world: requests wait for what is loaded, links take time,
// nothing is lost whatever the policies, and more memory below finds more.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/cluster/random_sessions.h"
#include "tests/sim/cluster/toy_tiers.h"

namespace v4cap {
namespace {

RunResult play_with(const ToyTiers& tiers, const Trace& trace, const WorkloadConfig& config,
                    const ToyEngine& settings, std::size_t ranks = 1, bool overlapped = false) {
  Replica replica = toy_ranks(settings, ranks);
  tiers.attach(replica);
  HostRules host = tiers.rules();
  host.overlapped = overlapped;
  return play_on(replica, trace, config, LinearCost{}, 1, host);
}

TEST_CASE("tiers: nothing is lost under memory pressure, with every policy") {
  std::int64_t hits = 0, loaded = 0, evicted = 0, expired = 0;
  for (const std::string policy :
       {"full", "checkpoint=128", "checkpoint=128+ends", "tail", "recompute", "replay", "pool=0.3",
        "pool=0.3+recompute", "reuse=0.5"}) {
    for (const std::string write : {"write_through", "write_back", "selective=2"}) {
      for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        CAPTURE(policy);
        CAPTURE(write);
        CAPTURE(seed);
        ToyTiers tiers;
        tiers.to_host = write;
        tiers.to_ssd = seed % 2 == 0 ? "write_back" : write;
        tiers.layers = seed % 3 == 0 ? 4 : 1;
        tiers.shared = seed % 2 == 1;
        if (seed == 5) tiers.to_live = {Duration{80'000'000}, Duration{30'000'000}};
        if (seed == 6) tiers.holds = {{{false, true}, {true, false}}};
        ToyEngine settings = tight_engine(policy);
        if (seed == 2) settings.scheduler = "vllm";
        const Trace trace = random_sessions(seed, 60);
        const WorkloadConfig config = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
        const std::size_t ranks = seed % 2 == 1 ? 2 : 1;
        const RunResult result = play_with(tiers, trace, config, settings, ranks, seed == 4);
        const RunTotals& t = result.totals;
        CHECK(t.finished + t.refused == t.requests);
        CHECK((seed == 4 || t.busy + t.binding.idle == t.last_finish - t.first_arrival));
        REQUIRE(t.tiers.size() == 2);
        KindBytes read;
        Tokens below;
        for (const TierTotals& tier : t.tiers) {
          CHECK(tier.written == tier.resident + tier.evicted + tier.expired + tier.lost);
          CHECK(tier.peak <= tier.capacity);
          CHECK(tier.read_utilisation <= 1);
          CHECK(tier.write_utilisation <= 1);
          read += tier.read;
          below += tier.hit_tokens;
          evicted += tier.evicted.total().value;
          expired += tier.expired.total().value;
        }
        hits += below.value;
        loaded += t.loaded.total().value;
        if (policy == "recompute") CHECK(read[CacheKind::swa] == 0);
        CHECK(play_with(tiers, trace, config, settings, ranks, seed == 4).totals.result_hash ==
              t.result_hash);
      }
    }
  }
  CHECK(hits > 10'000);
  CHECK(loaded > 0);
  CHECK(evicted > 0);
  CHECK(expired > 0);
}

TEST_CASE("tiers: the time of a load is its latency and its bytes, by the slowest of its links") {
  ToyTiers tiers;
  tiers.host = 80'000 * 3;
  tiers.latency = Duration{500'000};
  const Trace trace = two_visits();
  const RunResult with = play_with(tiers, trace, {}, small_engine());
  // Blocks [3, 8) of the third request were evicted: 50,000 bytes at a byte a nanosecond.
  const RequestRecord& third = with.records[2];
  CHECK(third.hit == Tokens{512});
  CHECK(with.totals.tiers[0].hit_tokens == Tokens{64 * 6});
  CHECK((third.admitted - third.arrival) == Duration{500'000 + 60'000});
  CHECK((third.first_token - third.admitted) == Duration{1'001'000});

  // From the SSD it takes both latencies, and ten times as long on its link.
  tiers.holds[0] = {false, false};
  const RunResult slow = play_with(tiers, trace, {}, small_engine());
  CHECK(slow.totals.tiers[1].hit_tokens == Tokens{0});  // write_back: nothing left the GPU before
}

TEST_CASE("tiers: with its first layers there a request starts, and its step waits for the rest") {
  ToyTiers tiers;
  tiers.host = 80'000 * 3;
  tiers.latency = Duration{500'000};
  // 60,000 bytes at one in 128 ns take 7.68 ms, a step of one token 1.001 ms.
  tiers.host_bytes_per_s = 1e9 / 128;
  tiers.layers = 60;
  const RunResult run = play_with(tiers, two_visits(), {}, small_engine());
  const RequestRecord& third = run.records[2];
  CHECK((third.admitted - third.arrival) == Duration{500'000 + 128'000});
  // The last layer is computed when it is there.
  constexpr std::int64_t kLast = 1'001'000 / 60;
  CHECK((third.first_token - third.arrival) == Duration{500'000 + 7'680'000 + kLast});
  CHECK(run.totals.load_wait == Duration{7'552'000 + kLast - 1'001'000});
}

// When a step that begins at `begin` has ended, by hand: a layer is computed when its part of the
// prefix has come and the layer before is done. All in ns since the load was ordered; a step of one
// token takes 1.001 ms, the latency is 500 us.
constexpr std::int64_t kPipelined = 60;
double pipelined(double begin, double bytes, double ns_per_byte) {
  const double layer_ns = 1'001'000.0 / kPipelined;
  const double coming = bytes / kPipelined * ns_per_byte;  // of one layer
  double done = begin;
  for (std::int64_t layer = 1; layer <= kPipelined; ++layer) {
    const double here = 500'000 + static_cast<double>(layer) * coming;
    done = std::max(done, here) + layer_ns;
  }
  return done;
}

// From links that are far faster than the layers to such as take all of the time; a layer takes as
// long to come as to be computed at 16.7 ns a byte.
constexpr double kNsPerByte[] = {1.0 / 64, 1.0, 8.0, 15.0, 16.0, 16.5, 17.0, 18.0, 32.0, 128.0};

ToyTiers layered_tiers(double ns_per_byte) {
  ToyTiers tiers;
  tiers.host = 80'000 * 3;
  tiers.latency = Duration{500'000};
  tiers.host_bytes_per_s = 1e9 / ns_per_byte;
  tiers.layers = kPipelined;
  return tiers;
}

TEST_CASE(
    "tiers: a load by layers ends as a pipeline of layers does, on slow links and fast ones") {
  for (const bool overlapped : {false, true}) {
    for (const double ns_per_byte : kNsPerByte) {
      CAPTURE(overlapped);
      CAPTURE(ns_per_byte);
      const RunResult run =
          play_with(layered_tiers(ns_per_byte), two_visits(), {}, small_engine(), 1, overlapped);
      const RequestRecord& third = run.records[2];
      CHECK(run.totals.tiers[0].hit_tokens == Tokens{64 * 6});
      const auto begin = static_cast<double>((third.admitted - third.arrival).count());
      const auto found = static_cast<double>((third.first_token - third.arrival).count());
      CHECK(begin == doctest::Approx(500'000 + 1000 * ns_per_byte).epsilon(1e-5));
      CHECK(std::abs(found - pipelined(begin, 60'000, ns_per_byte)) <= 2.0);
    }
  }
}

TEST_CASE(
    "tiers: a step that begins when many layers are there waits for the others, as they come") {
  Trace trace = two_visits();
  // Another request runs when the third comes: its first step, at whose end the load is ordered, and
  // a second one.
  const SimTime third = kSimStart + Duration{2'000'000'000};
  TraceRequest& busy = add_request(trace, 63, 2, third - Duration{500'000});
  busy.runs_begin = busy.runs_end = static_cast<std::uint32_t>(trace.runs.size());
  std::ranges::stable_sort(trace.requests, {}, &TraceRequest::arrival);
  double waited = 0;
  for (const double ns_per_byte : kNsPerByte) {
    CAPTURE(ns_per_byte);
    const RunResult run = play_with(layered_tiers(ns_per_byte), trace, {}, small_engine());
    const RequestRecord& other = run.records[2];
    const RequestRecord& loaded = run.records[3];
    const SimTime ordered = other.first_token;
    CHECK(loaded.admitted >= other.finished);
    const auto since = [&](SimTime at) { return static_cast<double>((at - ordered).count()); };
    const auto blocks = static_cast<double>(run.totals.tiers[0].hit_tokens.value) / 64;
    CHECK(blocks >= 6);
    const double found = since(loaded.first_token);
    CHECK(std::abs(found - pipelined(since(loaded.admitted), blocks * 10'000, ns_per_byte)) <= 2.0);
    waited += to_seconds(run.totals.load_wait);
  }
  CHECK(waited > 0);
}

TEST_CASE("tiers: one replica in a cluster moves what that replica alone does") {
  const Trace trace = random_sessions(7, 60);
  const ToyEngine settings = tight_engine("checkpoint=128");
  ClusterConfig cluster;
  cluster.router = "round_robin";
  for (const std::int64_t layers : {1, 4}) {
    ToyTiers tiers;
    tiers.layers = layers;
    const RunTotals one = play_with(tiers, trace, closed_loop(12), settings, 2).totals;
    const RunTotals many = play_cluster(tiers, trace, closed_loop(12), settings, cluster, 2).totals;
    CHECK(one.loaded.total() > Bytes{0});
    CHECK(many.events == one.events);
    CHECK(many.busy == one.busy);
    CHECK(many.load_wait == one.load_wait);
    CHECK(many.loaded == one.loaded);
    REQUIRE(many.tiers.size() == one.tiers.size());
    for (std::size_t i = 0; i < one.tiers.size(); ++i) {
      CHECK(many.tiers[i].written == one.tiers[i].written);
      CHECK(many.tiers[i].read == one.tiers[i].read);
      CHECK(many.tiers[i].hit_tokens == one.tiers[i].hit_tokens);
      CHECK(many.tiers[i].read_utilisation == one.tiers[i].read_utilisation);
    }
  }
}

TEST_CASE("tiers: replicas are lost with theirs, and every request is answered") {
  std::int64_t loaded = 0, lost = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    ToyTiers tiers;
    tiers.layers = seed % 3 == 0 ? 4 : 1;
    tiers.shared = seed % 2 == 1;
    // Slow links: loads and copies are under way when a replica is lost.
    if (seed % 4 == 0) tiers.host_bytes_per_s = tiers.ssd_bytes_per_s = 1e6;
    ToyEngine settings = tight_engine(seed % 2 == 0 ? "full" : "checkpoint=128+ends");
    ClusterConfig cluster;
    cluster.replicas = 2;
    cluster.router = "round_robin";
    cluster.window = Duration{100'000'000};
    for (const std::string kind : {"replica_lost", "restart", "slow_rank"}) {
      FaultConfig fault;
      fault.kind = kind;
      fault.mtbf = Duration{60'000'000};
      fault.lasts = Duration{20'000'000};
      fault.factor = 3;
      cluster.faults.push_back(fault);
    }
    const Trace trace = random_sessions(seed, 80);
    const WorkloadConfig config = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
    const auto run = [&] {
      return play_cluster(tiers, trace, config, settings, cluster, 1 + seed % 2, seed % 5 == 0);
    };
    const RunResult result = run();
    const RunTotals& t = result.totals;
    CHECK(t.finished + t.refused + t.failed == t.requests);
    REQUIRE(t.tiers.size() == 2);
    for (const TierTotals& tier : t.tiers) {
      CHECK(tier.written == tier.resident + tier.evicted + tier.expired + tier.lost);
      CHECK(tier.peak <= tier.capacity);
      CHECK(tier.read_utilisation <= 1);
    }
    // Two replicas' own: neither more lives nor more losses make them larger.
    CHECK(t.tiers[0].capacity == Bytes{tiers.host * static_cast<std::int64_t>(2 * (1 + seed % 2))});
    for (const ReplicaResult& replica : result.cluster->replicas) lost += replica.lost_requests;
    loaded += t.loaded.total().value;
    CHECK(run().totals.result_hash == t.result_hash);
  }
  CHECK(loaded > 0);
  CHECK(lost > 0);
}

TEST_CASE("tiers: with room for everything hits are those of an endless GPU") {
  std::int64_t more = 0;
  for (const std::string policy : {"full", "checkpoint=128+ends", "recompute"}) {
    CAPTURE(policy);
    const Trace trace = random_sessions(3, 60);
    ToyEngine tight = tight_engine(policy), endless = tight;
    endless.costs.capacity = 1'000'000;
    ToyTiers tiers;
    tiers.host = 1'000'000;
    tiers.host_bytes_per_s = 1e12;
    tiers.latency = Duration{0};
    WorkloadConfig one = closed_loop(1);
    const auto hit = [](const RunResult& result) {
      std::int64_t sum = 0;
      for (const RequestRecord& r : result.records) {
        if (r.end == RequestEnd::finished && r.preemptions == 0) sum += r.hit.value;
      }
      return sum;
    };
    const RunResult without = play(trace, one, tight, LinearCost{});
    const RunResult with = play_with(tiers, trace, one, tight);
    const RunResult best = play(trace, one, endless, LinearCost{});
    CHECK(hit(with) >= hit(without));
    more += hit(with) - hit(without);
    CHECK(hit(with) <= hit(best));
    CHECK(static_cast<double>(hit(with)) > 0.97 * static_cast<double>(hit(best)));
  }
  CHECK(more > 0);
}

}  // namespace
}  // namespace v4cap
