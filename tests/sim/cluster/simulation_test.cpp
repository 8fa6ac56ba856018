#include "sim/cluster/simulation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

SimTime ms(std::int64_t n) {
  return SimTime{Duration{n * 1'000'000}};
}

TEST_CASE("simulation: conservation under memory pressure, with every policy") {
  for (const std::string policy :
       {"full", "checkpoint=128", "checkpoint=128+ends", "tail", "recompute", "recompute=pyramid",
        "replay", "pool=0.3", "pool=0.5", "reuse", "reuse=0.5"}) {
    CAPTURE(policy);
    std::int64_t preemptions = 0, refused = 0, hits = 0, rebuilt = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      CAPTURE(seed);
      const Trace trace = random_sessions(seed, 60);
      const RunResult result = play(trace, seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{},
                                    tight_engine(policy), LinearCost{}, seed);
      const RunTotals& t = result.totals;
      CHECK(t.requests == static_cast<std::int64_t>(trace.requests.size()));
      CHECK(t.finished + t.refused == t.requests);
      CHECK(t.kv_peak.total() <= t.kv_capacity * static_cast<std::int64_t>(kCacheKinds));
      CHECK(t.busy + t.binding.idle == t.last_finish - t.first_arrival);
      Duration named = t.binding.running_cap + t.binding.step_tokens +
                       t.binding.nothing_waits_decode + t.binding.nothing_waits_prefill;
      for (const auto& [pool, time] : t.binding.memory_pools) named += time;
      CHECK(named == t.busy);
      for (const OccupancySample& sample : result.occupancy) {
        CHECK((sample.in_use + sample.cached).total() <= t.kv_capacity);
      }
      for (const RequestRecord& r : result.records) {
        CHECK(r.prompt == trace.requests[r.id].prompt);
        if (r.end == RequestEnd::refused) {
          CHECK(r.finished == r.arrival);
          continue;
        }
        CHECK(r.hit + r.computed == r.prompt);
        CHECK(r.arrival <= r.admitted);
        CHECK(r.admitted < r.finished);
        if (r.output > Tokens{0}) {
          CHECK(r.admitted < r.first_token);
          CHECK(r.first_token <= r.finished);
        }
        CHECK((r.preemptions > 0 || r.recomputed_after_preemption == Tokens{0}));
      }
      preemptions += t.preemptions;
      refused += t.refused;
      hits += t.hit_tokens.value;
      rebuilt += t.rebuilt_tokens.value;
    }
    CHECK(preemptions > 0);
    CHECK(refused > 0);
    CHECK(hits > 0);
    if (!policy.starts_with("reuse")) CHECK((rebuilt > 0) == policy.starts_with("re"));
  }
}

TEST_CASE("simulation: same seed, same hash, another seed or policy, another hash") {
  const Trace trace = random_sessions(1, 60);
  WorkloadConfig poisson;
  poisson.arrivals = ArrivalMode::poisson;
  poisson.rate_per_s = 20;
  const auto hash = [&](const std::string& policy, std::uint64_t seed) {
    return play(trace, poisson, tight_engine(policy), LinearCost{}, seed).totals.result_hash;
  };
  CHECK(hash("full", 1) == hash("full", 1));
  CHECK(hash("full", 1) != hash("full", 2));
  CHECK(hash("full", 1) != hash("recompute", 1));
}

// Mean number in the system by walking arrivals and ends in order of time.
double number_in_system(const RunResult& result) {
  std::map<SimTime, int> changes;
  for (const RequestRecord& r : result.records) {
    ++changes[r.arrival];
    --changes[r.finished];
  }
  long double area_s = 0;
  std::int64_t inside = 0;
  SimTime last = changes.begin()->first;
  for (const auto& [at, change] : changes) {
    area_s += static_cast<long double>(inside) * static_cast<long double>((at - last).count());
    inside += change;
    last = at;
  }
  return static_cast<double>(area_s /
                             static_cast<long double>((last - changes.begin()->first).count()));
}

TEST_CASE("simulation: Little's law to 1e-9") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const RunResult result =
        play(random_sessions(seed, 60), {}, tight_engine("full"), LinearCost{}, seed);
    long double in_system_s = 0;
    for (const RequestRecord& r : result.records) {
      in_system_s += static_cast<long double>((r.finished - r.arrival).count());
    }
    const auto n = static_cast<long double>(result.records.size());
    const auto span =
        static_cast<long double>((result.totals.last_finish - result.totals.first_arrival).count());
    const auto rate_times_time = static_cast<double>((n / span) * (in_system_s / n));
    CHECK(std::abs(number_in_system(result) / rate_times_time - 1) < 1e-9);
    CHECK(std::abs(result.totals.mean_in_system / rate_times_time - 1) < 1e-9);
  }
}

TEST_CASE("simulation: closed loop never has more sessions than asked for, and waits to think") {
  for (const std::int64_t at_a_time : {1, 3, 16}) {
    CAPTURE(at_a_time);
    const Trace trace = random_sessions(9, 40);
    const RunResult result =
        play(trace, closed_loop(at_a_time), tight_engine("full"), LinearCost{});
    std::map<std::int32_t, std::pair<SimTime, SimTime>> lives;
    for (const RequestRecord& r : result.records) {
      const TraceRequest& asked = trace.requests[r.id];
      for (const std::uint32_t before : trace.after_of(asked)) {
        CHECK(r.arrival == result.records[before].finished + asked.think);
      }
      const SimTime begin = r.arrival - (asked.turn == 0 ? asked.think : Duration{0});
      auto& life = lives.try_emplace(r.session, begin, r.finished).first->second;
      life = {std::min(life.first, begin), std::max(life.second, r.finished)};
    }
    CHECK(lives.size() == 40);
    std::int64_t most = 0;
    for (const auto& entry : lives) {
      const auto& life = entry.second;
      const auto overlapping = std::count_if(lives.begin(), lives.end(), [&](const auto& other) {
        return other.second.first <= life.first && life.first < other.second.second;
      });
      most = std::max(most, static_cast<std::int64_t>(overlapping));
    }
    CHECK(most == at_a_time);
  }
}

TEST_CASE("simulation: what happens at one instant is known before the step is planned") {
  // A step of 1 ms ends as two requests arrive: all three run in the next.
  Trace trace;
  add_request(trace, 5, 3, ms(0));
  add_request(trace, 5, 1, ms(1));
  add_request(trace, 5, 1, ms(1));
  const RunResult result = play(trace, {}, {}, ConstantCost(Duration{1'000'000}));
  CHECK(result.totals.steps == 3);
  CHECK(result.records[1].admitted == ms(1));
  CHECK(result.records[2].finished == ms(2));
  CHECK(result.records[0].finished == ms(3));
  CHECK(result.totals.events == 6);
}

TEST_CASE("simulation: an engine without work is idle, and the time is counted") {
  Trace trace;
  add_request(trace, 5, 2, ms(10));
  add_request(trace, 5, 1, ms(100));
  const RunResult result = play(trace, {}, {}, ConstantCost(Duration{1'000'000}));
  CHECK(result.totals.busy == Duration{3'000'000});
  CHECK(result.totals.binding.idle == ms(100) - ms(12));
  CHECK(result.totals.first_arrival == ms(10));
  CHECK(result.totals.last_finish == ms(101));
}

TEST_CASE("simulation: a refused request lets those go on that wait for it") {
  Trace trace;
  trace.session_names = {"s"};
  add_request(trace, 2'000'000, 1);
  trace.after = {0};
  TraceRequest& second = add_request(trace, 5, 1);
  second.after_begin = 0;
  second.think = Duration{42};
  trace.requests[0].session = second.session = 0;
  const RunResult result = play(trace, closed_loop(1), {}, ConstantCost(Duration{1'000'000}));
  CHECK(result.records[0].end == RequestEnd::refused);
  CHECK(result.records[1].end == RequestEnd::finished);
  CHECK(result.records[1].arrival == SimTime{Duration{42}});
}

TEST_CASE("simulation: saturated is an open loop that cannot keep up") {
  struct Row {
    std::string name;
    std::int64_t gap_ms;
    bool saturated;
  };
  // Every request takes 10 steps of 1 ms, two at a time.
  for (const Row& row : {Row{"half the load", 10, false}, {"twice the load", 2, true}}) {
    CAPTURE(row.name);
    Trace trace;
    for (std::int64_t i = 0; i < 300; ++i) add_request(trace, 1, 10, ms(i * row.gap_ms));
    ToyEngine settings;
    settings.max_running = 2;
    const RunResult result = play(trace, {}, settings, ConstantCost(Duration{1'000'000}));
    CHECK(result.totals.saturated == row.saturated);
  }
}

TEST_CASE("simulation: progress rises to the end and can stop the run") {
  Trace trace;
  for (int i = 0; i < 20; ++i) add_request(trace, 1, 1000, ms(i));
  ToyEngine settings;
  settings.max_running = 1;
  Workload workload(trace, {}, 1);
  std::vector<double> seen;
  {
    Replica replica(settings.make());
    Simulation(trace, workload, replica, ConstantCost(Duration{1'000'000})).run([&](double done) {
      return seen.push_back(done), true;
    });
    CHECK(seen.size() == 4);  // 20,000 steps
    CHECK(std::is_sorted(seen.begin(), seen.end()));
  }
  Workload again(trace, {}, 1);
  Replica replica(settings.make());
  const ConstantCost cost(Duration{1'000'000});
  Simulation stopped(trace, again, replica, cost);
  CHECK_THROWS_AS(stopped.run([](double) { return false; }), Simulation::Interrupted);
}

}  // namespace
}  // namespace v4cap
