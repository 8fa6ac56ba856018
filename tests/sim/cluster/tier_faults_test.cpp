// Faults of tiers and their links: exact times, what is dropped and counted, and that nothing is lost
// under random schedules of them and all others.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "sim/core/parallel.h"
#include "tests/sim/cluster/random_sessions.h"
#include "tests/sim/cluster/toy_tiers.h"

namespace v4cap {
namespace {

using std::chrono::microseconds;

FaultConfig fault(const std::string& kind, const std::string& place, Duration at, Duration lasts) {
  FaultConfig f;
  f.kind = kind;
  f.place = place;
  f.at = at;
  f.lasts = lasts;
  return f;
}

FaultConfig slow_link(const std::string& link, double share, Duration at, Duration lasts) {
  FaultConfig f = fault("slow_link", link, at, lasts);
  f.share = share;
  return f;
}

ClusterConfig with_faults(std::vector<FaultConfig> faults, std::int64_t replicas = 1) {
  ClusterConfig config;
  config.replicas = replicas;
  config.router = "round_robin";
  config.window = std::chrono::milliseconds(100);
  config.faults = std::move(faults);
  return config;
}

std::vector<std::string> happened(const RunResult& result) {
  std::vector<std::string> out;
  for (const ClusterEvent& e : result.cluster->events) {
    out.push_back(std::to_string(e.replica) + ' ' + e.what);
  }
  return out;
}

using Lines = std::vector<std::string>;

// Two visits of a session, 2 s apart: with the second 60,000 bytes at a byte a nanosecond are loaded
// from host memory, which holds 16 blocks of 10,000.
ToyTiers roomy_tiers() {
  ToyTiers tiers;
  tiers.host = 240'000;
  tiers.ssd = 1'000'000;
  tiers.latency = microseconds(500);
  return tiers;
}

RunResult visit(const ToyTiers& tiers, const std::vector<FaultConfig>& faults) {
  return play_cluster(tiers, two_visits(), {}, small_engine(), with_faults(faults), 1);
}

Duration waited(const RunResult& result) {
  return result.records[2].admitted - result.records[2].arrival;
}

TEST_CASE("slow_link: what is on its way goes on at the new rate, and again at the old one") {
  // The load moves from 2,000.5 ms on. After 20 us it has a quarter of the bandwidth for 40 us:
  // 20,000 + 10,000 bytes; the other 30,000 take 30 us.
  const FaultConfig slow = slow_link("host", 0.25, microseconds(2'000'520), microseconds(40));
  CHECK(waited(visit(roomy_tiers(), {})) == microseconds(560));
  const RunResult result = visit(roomy_tiers(), {slow});
  CHECK(waited(result) == microseconds(590));
  CHECK(happened(result) ==
        Lines{"0 host links slow, 0.25 of their bandwidth", "0 links as fast as before"});
  const TierTotals& host = result.totals.tiers[0];
  CHECK(host.read_moved_bytes == doctest::Approx(60'000));
  // What it could have moved is less by three quarters of 40 us.
  const TierTotals whole = visit(roomy_tiers(), {}).totals.tiers[0];
  const double longer = to_seconds(result.totals.last_finish - kSimStart) * 1e9;
  CHECK(longer - host.read_offered_bytes >= 30'000);
  CHECK(host.read_moved_bytes == doctest::Approx(whole.read_moved_bytes));
  // Only one direction.
  CHECK(waited(visit(roomy_tiers(), {slow_link("host read", 0.25, microseconds(2'000'520),
                                               microseconds(40))})) == microseconds(590));
  CHECK(waited(visit(roomy_tiers(), {slow_link("host write", 0.25, microseconds(2'000'520),
                                               microseconds(40))})) == microseconds(560));
  CHECK(waited(visit(roomy_tiers(), {slow_link("ssd", 0.25, microseconds(2'000'520),
                                               microseconds(40))})) == microseconds(560));
}

TEST_CASE("slow_link: where two overlap the slower one holds, and each ends by itself") {
  // 20,000 bytes; 20 us at a quarter, 5,000; 20 us at an eighth, 2,500; 20 us at a quarter, 5,000;
  // 27,500 are left.
  const RunResult result = visit(
      roomy_tiers(), {slow_link("host", 0.25, microseconds(2'000'520), microseconds(60)),
                      slow_link("host read", 0.125, microseconds(2'000'540), microseconds(20))});
  CHECK(waited(result) == Duration{607'500});
}

TEST_CASE("slow_link: it outlives the replica, whose links are slow when it is back") {
  FaultConfig lost;
  lost.kind = "replica_lost";
  lost.at = microseconds(1'500'000);
  lost.lasts = microseconds(100'000);
  ToyTiers tiers = roomy_tiers();
  const std::vector<FaultConfig> faults = {
      slow_link("host", 0.5, microseconds(1'400'000), microseconds(3'000'000)), lost};
  // The prefix is in the tier again since 1.7 s, and not on the GPU since 1.8 s.
  Trace trace = two_visits();
  trace.requests[0].arrival = std::chrono::milliseconds(0);
  for (const auto& [runs_begin, at_ms] : {std::pair{0U, 1700}, std::pair{1U, 1800}}) {
    TraceRequest& r =
        add_request(trace, 64 * 8 + 1, 1, kSimStart + std::chrono::milliseconds(at_ms));
    r.runs_begin = runs_begin;
    r.runs_end = runs_begin + 1;
  }
  std::ranges::stable_sort(trace.requests, {}, &TraceRequest::arrival);
  const RunResult result = play_cluster(tiers, trace, {}, small_engine(), with_faults(faults), 1);
  const RequestRecord& last = result.records[4];
  CHECK(last.hit == Tokens{512});
  CHECK(last.admitted - last.arrival == microseconds(500 + 120));
}

TEST_CASE("lost_tier: a request that waits for it computes what is nowhere else") {
  const RunResult result = visit(
      roomy_tiers(), {fault("lost_tier", "host", microseconds(2'000'530), microseconds(900))});
  CHECK(happened(result) == Lines{"0 tier host lost, 1 loads broken off", "0 tier host back"});
  CHECK(waited(result) == microseconds(530));
  const RequestRecord& third = result.records[2];
  CHECK(third.hit == Tokens{128});  // two blocks were still on the GPU
  CHECK(third.first_token - third.admitted == microseconds(1000 + 513 - 128));
  const TierTotals& host = result.totals.tiers[0];
  CHECK(host.hit_tokens == Tokens{0});
  CHECK(host.lost.total() == Bytes{160'000});
  CHECK(host.read_moved_bytes == doctest::Approx(30'000));  // until it broke off
  // The two were used while it was gone; it was back when the other six were computed.
  CHECK(host.refused.total() == Bytes{20'000});
  CHECK(host.resident.total() == Bytes{60'000});
  CHECK(host.written == host.resident + host.evicted + host.expired + host.lost);
}

TEST_CASE("lost_tier: it takes nothing until it is back, by the last of those that took it") {
  const RunResult result = visit(
      roomy_tiers(), {fault("lost_tier", "host", microseconds(500'000), microseconds(1'000)),
                      fault("lost_tier", "host", microseconds(500'500), microseconds(800'000)),
                      fault("lost_tier", "ssd", microseconds(3'000'000), microseconds(1))});
  CHECK(happened(result) == Lines{"0 tier host lost", "0 tier host lost", "0 tier host back"});
  const TierTotals& host = result.totals.tiers[0];
  CHECK(host.lost.total() == Bytes{80'000});     // of the first prompt
  CHECK(host.refused.total() >= Bytes{80'000});  // of the second
  CHECK(result.records[2].hit == Tokens{128});
  CHECK(waited(result) == Duration{0});
}

TEST_CASE("lost_tier: what lies in another tier, too, is loaded from there") {
  ToyTiers tiers = roomy_tiers();
  tiers.to_ssd = "write_through";
  tiers.ssd_bytes_per_s = 1.25e8;
  const RunResult result =
      visit(tiers, {fault("lost_tier", "host", microseconds(2'000'530), microseconds(900'000))});
  // Both latencies, and 60,000 bytes at eight nanoseconds each.
  CHECK(waited(result) == microseconds(530 + 1000 + 480));
  CHECK(result.records[2].hit == Tokens{512});
  CHECK(result.totals.tiers[0].hit_tokens == Tokens{0});
  CHECK(result.totals.tiers[1].hit_tokens == Tokens{64 * 6});
  // The copies on their way up found no room there.
  CHECK(result.totals.tiers[0].refused.total() >= Bytes{60'000});
  CHECK(result.totals.tiers[0].resident.total() == Bytes{0});
}

TEST_CASE("lost_tier: copies on their way to it are dropped and counted") {
  ToyTiers tiers = roomy_tiers();
  tiers.to_ssd = "write_through";
  // The first prompt is computed at 1.513 ms and takes 580 us to host memory. From there it moves on
  // after 500 us, at 2.593 ms, for 407 us of 800. It is copied again with its second visit.
  const RunResult result =
      visit(tiers, {fault("lost_tier", "ssd", microseconds(3'000), microseconds(100'000))});
  const TierTotals& ssd = result.totals.tiers[1];
  CHECK(ssd.lost.total() == Bytes{80'000});
  CHECK(ssd.write_moved_bytes == doctest::Approx(160'000 + 40'700));
  CHECK(ssd.resident.total() == Bytes{160'000});
  CHECK(result.records[2].hit == Tokens{512});  // from host memory
}

TEST_CASE("lost_tier: a load whose first layers are there is read to its end") {
  ToyTiers tiers = roomy_tiers();
  tiers.host_bytes_per_s = 1e9 / 128;
  tiers.layers = 60;
  const RunResult whole = visit(tiers, {});
  const RunResult result =
      visit(tiers, {fault("lost_tier", "host", microseconds(2'003'000), microseconds(1'000))});
  CHECK(happened(result) == Lines{"0 tier host lost", "0 tier host back"});
  CHECK(waited(result) == microseconds(500 + 128));
  CHECK(result.records[2].hit == Tokens{512});
  CHECK(result.records[2].first_token == whole.records[2].first_token);
  CHECK(result.totals.tiers[0].lost.total() == Bytes{160'000});
  // Before that it is not.
  const RunResult early =
      visit(tiers, {fault("lost_tier", "host", microseconds(2'000'600), microseconds(1'000))});
  CHECK(happened(early).front() == "0 tier host lost, 1 loads broken off");
  CHECK(early.records[2].hit == Tokens{128});
}

TEST_CASE("fault: one of all replicas strikes each of them") {
  FaultConfig all = fault("lost_tier", "host", microseconds(500'000), microseconds(1'000));
  all.replica.reset();
  const RunResult result =
      play_cluster(roomy_tiers(), two_visits(), {}, small_engine(), with_faults({all}, 2), 1);
  CHECK(happened(result) ==
        Lines{"0 tier host lost", "1 tier host lost", "0 tier host back", "1 tier host back"});
}

// Two sessions, each on a rank, and 1 s later each on the other one. The second rank is lost
// before that, with what it has in host memory and on the GPU; what the first one has stays.
TEST_CASE("rank_lost: it takes tiers of its own along, and what is shared stays") {
  Trace trace;
  trace.block = Tokens{64};
  std::int64_t at_ms = 0;
  for (const std::int64_t session : {0, 5000, 5000, 0}) {
    TraceRequest& r = add_request(trace, 64 * 8 + 1, 1, kSimStart + Duration{1'000'000} * at_ms);
    trace.runs.push_back({session, 8});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    at_ms += 1000;
  }
  trace.next_free_id = 10'000;
  FaultConfig lost = fault("rank_lost", {}, microseconds(1'500'000), microseconds(100));
  lost.rank = 1;
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    ToyTiers tiers = roomy_tiers();
    tiers.to_ssd = "write_through";
    tiers.shared = shared;
    const RunResult result = play_cluster(tiers, trace, {}, small_engine(), with_faults({lost}), 2);
    CHECK(happened(result) == Lines{"0 rank 1 lost", "0 rank 1 back"});
    const TierTotals &host = result.totals.tiers[0], &ssd = result.totals.tiers[1];
    CHECK(host.lost.total() == Bytes{80'000});
    CHECK(ssd.lost.total() == Bytes{shared ? 0 : 80'000});
    // Round robin: the third request is on the first rank, the fourth on the second.
    CHECK(result.records[2].hit == Tokens{shared ? 512 : 0});
    CHECK(result.records[3].hit == Tokens{shared ? 512 : 0});
    CHECK(ssd.hit_tokens == Tokens{shared ? 1024 : 0});
    for (const TierTotals& tier : result.totals.tiers) {
      CHECK(tier.written == tier.resident + tier.evicted + tier.expired + tier.lost);
    }
  }
}

// On a rank that loads 60,000 bytes from host memory when it is lost: the request goes to the other
// one and computes everything there, the load is broken off.
TEST_CASE("rank_lost: loads and copies that are under way are broken off") {
  ToyTiers tiers = roomy_tiers();
  FaultConfig lost = fault("rank_lost", {}, microseconds(4'000'530), microseconds(100'000));
  Trace trace = two_visits();
  std::int64_t at_ms = 0;
  // A short request of its own for the other rank between any two.
  Trace both;
  both.block = trace.block;
  for (std::size_t i = 0; i < 3; ++i) {
    for (const bool on_first : {true, false}) {
      TraceRequest& r =
          add_request(both, on_first ? 64 * 8 + 1 : 10, 1, kSimStart + Duration{1'000'000} * at_ms);
      if (on_first) both.runs.push_back({i == 1 ? 5000 : 0, 8});
      r.runs_end = static_cast<std::uint32_t>(both.runs.size());
      at_ms += 1000;
    }
  }
  both.next_free_id = 10'000;
  const RunResult result = play_cluster(tiers, both, {}, small_engine(), with_faults({lost}), 2);
  CHECK(result.totals.finished == 6);
  CHECK(result.records[4].retries == 1);
  CHECK(result.records[4].hit == Tokens{0});
  CHECK(result.totals.tiers[0].read_moved_bytes == doctest::Approx(30'000));
  CHECK(result.totals.tiers[0].lost.total() == Bytes{160'000});
}

// What a request that is lost would have left when it ended: the end of its output so far is not
// copied from a GPU that is not there any more.
TEST_CASE("rank_lost: nothing is copied out of what is lost") {
  ToyEngine engine = small_engine();
  engine.policy = "tail";
  engine.costs.point = 1000;
  Trace trace;
  trace.block = Tokens{64};
  add_request(trace, 129, 100).runs_end = 1;  // its output passes the end of a block at 192 tokens
  trace.runs.push_back({0, 3});
  trace.next_free_id = 10'000;
  FaultConfig lost = fault("rank_lost", {}, microseconds(80'000), microseconds(1'000));
  const auto host = [&](const std::vector<FaultConfig>& faults) {
    return play_cluster(roomy_tiers(), trace, {}, engine, with_faults(faults, 2), 2)
        .totals.tiers[0];
  };
  lost.replica = 0;
  const TierTotals with = host({lost}), without = host({});
  CHECK(with.lost.total() > Bytes{0});
  CHECK(with.resident == without.resident);
  CHECK(with.written == without.written + with.lost);
}

// Every fault there is, at random.
std::vector<FaultConfig> random_faults(std::uint64_t seed, std::size_t ranks) {
  RandomEngine random = RandomStreams(seed).stream("faults of tiers");
  const auto draw = [&](std::uint64_t most) {
    return 1 + static_cast<std::int64_t>(random() % most);
  };
  const std::vector<std::string> kinds = FaultKinds::names();
  const std::vector<std::string> tiers = {"host", "ssd"};
  const std::vector<std::string> directions = {"", " read", " write"};
  std::vector<FaultConfig> out;
  const std::int64_t count = 2 + draw(12);
  for (std::int64_t i = 0; i < count; ++i) {
    // Those of tiers more often than others.
    const std::vector<std::string> usual = {"lost_tier", "slow_link"};
    FaultConfig f;
    f.kind = random() % 2 == 0 ? usual[random() % 2] : kinds[random() % kinds.size()];
    const FaultKind& kind = *FaultKinds::find(f.kind);
    f.place = tiers[random() % tiers.size()];
    if (kind.of_link) f.place += directions[random() % directions.size()];
    f.share = 0.05 * static_cast<double>(draw(19));
    f.at = microseconds(draw(1'500'000));
    f.lasts = microseconds(draw(300'000));
    f.replica = draw(2) - 1;
    if (random() % 5 == 0) f.replica.reset();
    f.rank = draw(ranks) - 1;
    f.factor = static_cast<double>(draw(5));
    if (random() % 3 == 0) {
      f.at.reset();
      f.mtbf = microseconds(draw(300'000));
    }
    out.push_back(f);
  }
  // Often and briefly, so that loads are broken off in most schedules.
  FaultConfig brief = fault("lost_tier", "host", {}, microseconds(draw(10'000)));
  brief.at.reset();
  brief.mtbf = microseconds(100'000);
  out.push_back(brief);
  return out;
}

struct Played {
  RunResult result;
  bool balanced = true;
};

Played play_random(std::uint64_t seed) {
  const std::size_t ranks = 1 + seed % 3;
  ToyTiers tiers;
  tiers.layers = seed % 4 == 0 ? 4 : 1;
  tiers.shared = seed % 2 == 1;
  tiers.to_host = seed % 5 == 0 ? "write_back" : seed % 5 == 1 ? "selective=2" : "write_through";
  tiers.to_ssd = seed % 3 == 0 ? "write_through" : "write_back";
  // Slow links: loads and copies are under way when something is lost.
  const double rates[] = {2e7, 1e8, 1e9};  // a twentieth of the first is the least of a link
  tiers.host_bytes_per_s = rates[seed % 3];
  tiers.ssd_bytes_per_s = 2e7;
  tiers.latency = microseconds(seed % 4 < 2 ? 20'000 : 100);  // loads wait for it
  if (seed % 7 == 0) tiers.to_live = {Duration{80'000'000}, Duration{30'000'000}};
  if (seed % 11 == 0) tiers.holds = {{{false, true}, {true, false}}};
  const std::vector<std::string> policies = {"full", "checkpoint=128", "checkpoint=128+ends",
                                             "tail", "recompute",      "pool=0.3"};
  ClusterConfig cluster = with_faults(random_faults(seed, ranks), 2);
  cluster.retry_limit = static_cast<std::int64_t>(seed % 5);
  cluster.retry_delay = std::chrono::milliseconds(seed % 4 * 7);
  cluster.retry_on_return = seed % 2 == 0;
  const Trace trace = random_sessions(seed, 60);
  const WorkloadConfig workload = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
  // Simulation::run checks that every request ends once, that memory which is written is cached or
  // evicted, Little's law, and in the end the books of tiers and links.
  Played played{play_cluster(tiers, trace, workload, tight_engine(policies[seed % policies.size()]),
                             cluster, ranks, seed % 5 < 2)};
  const RunTotals& t = played.result.totals;
  played.balanced = t.finished + t.refused + t.failed == t.requests && t.tiers.size() == 2;
  for (const TierTotals& tier : t.tiers) {
    played.balanced &= tier.written == tier.resident + tier.evicted + tier.expired + tier.lost &&
                       tier.peak <= tier.capacity && tier.read_utilisation <= 1 &&
                       tier.write_utilisation <= 1;
  }
  return played;
}

// Everything about a run that could differ from another.
std::string account(const RunResult& result) {
  std::string out = std::to_string(result.totals.result_hash);
  for (const std::string& line : happened(result)) out += '\n' + line;
  const auto add = [&](double figure) { out += ' ' + std::to_string(figure); };
  for (const TierTotals& tier : result.totals.tiers) {
    for (const KindBytes* bytes : {&tier.written, &tier.read, &tier.evicted, &tier.expired,
                                   &tier.lost, &tier.refused, &tier.resident}) {
      for (const CacheKind kind : all_cache_kinds()) add(static_cast<double>((*bytes)[kind]));
    }
    for (const double moved : {tier.read_moved_bytes, tier.read_offered_bytes,
                               tier.write_moved_bytes, tier.write_offered_bytes}) {
      add(moved);
    }
    add(static_cast<double>(tier.hit_tokens.value));
  }
  return out;
}

TEST_CASE(
    "fault: 200 random schedules over tiers lose no request and no byte, and repeat themselves") {
  struct Seen {
    bool balanced = false, repeats = false;
    std::int64_t hits = 0, lost = 0, refused = 0, broken = 0, slow = 0, failed = 0;
  };
  std::vector<Seen> seen(200);
  parallel_for(
      seen.size(),
      [&](std::size_t i) {
        const Played played = play_random(i + 1);
        Seen& s = seen[i];
        s.balanced = played.balanced;
        s.repeats = account(play_random(i + 1).result) == account(played.result);
        s.failed = played.result.totals.failed;
        for (const TierTotals& tier : played.result.totals.tiers) {
          s.hits += tier.hit_tokens.value;
          s.lost += tier.lost.total().value;
          s.refused += tier.refused.total().value;
        }
        for (const std::string& line : happened(played.result)) {
          s.broken += line.ends_with("broken off") ? 1 : 0;
          s.slow += line.find("links slow") != std::string::npos ? 1 : 0;
        }
      },
      2);
  Seen sum;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CAPTURE(i);
    CHECK(seen[i].balanced);
    CHECK(seen[i].repeats);
    sum.hits += seen[i].hits;
    sum.lost += seen[i].lost;
    sum.refused += seen[i].refused;
    sum.broken += seen[i].broken;
    sum.slow += seen[i].slow;
    sum.failed += seen[i].failed;
  }
  CHECK(sum.hits > 10'000);
  CHECK(sum.lost > 10'000);
  CHECK(sum.refused > 1'000);
  CHECK(sum.broken > 50);
  CHECK(sum.slow > 200);
  CHECK(sum.failed > 50);
}

}  // namespace
}  // namespace v4cap
