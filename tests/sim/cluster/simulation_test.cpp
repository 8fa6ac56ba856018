#include "sim/cluster/simulation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "tests/sim/cluster/random_sessions.h"
#include "traces/generate.h"

namespace v4cap {
namespace {

SimTime ms(std::int64_t n) {
  return SimTime{Duration{n * 1'000'000}};
}

TEST_CASE("simulation: conservation under memory pressure, with every policy") {
  for (const std::string policy :
       {"full", "checkpoint=128", "checkpoint=128+ends", "tail", "recompute", "recompute=pyramid",
        "replay", "pool=0.3", "pool=0.3+recompute", "pool=0.5", "reuse", "reuse=0.5"}) {
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
    if (!policy.starts_with("reuse"))
      CHECK((rebuilt > 0) == (policy.starts_with("re") || policy.ends_with("+recompute")));
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

WorkloadConfig client(std::int64_t concurrency, std::int64_t warmups = 0) {
  WorkloadConfig config;
  config.arrivals = ArrivalMode::client;
  config.concurrency = concurrency;
  config.warmup_requests = warmups;
  return config;
}

// Prompts of bench_serving's random data set: lengths even from 1, nothing in common.
Trace random_prompts(std::int64_t count, double longest_prompt, double longest_output) {
  SyntheticSpec spec;
  spec.sessions = count;
  spec.first_prompt.kind = spec.output.kind = "uniform";
  spec.first_prompt.min = spec.output.min = 1;
  spec.first_prompt.max = longest_prompt;
  spec.output.max = longest_output;
  return generate_trace(spec, 5);
}

TEST_CASE("simulation: a client's requests come in waves when all take equally long") {
  // 10 requests of 5 steps, 4 at a time: waves at 0, 5 and 10 ms, the last of two.
  Trace trace;
  for (int i = 0; i < 10; ++i) add_request(trace, 1, 5);
  const RunResult result = play(trace, client(4), {}, ConstantCost(Duration{1'000'000}));
  for (const RequestRecord& r : result.records) CHECK(r.arrival == ms(5 * (r.id / 4)));
  CHECK(result.totals.steps == 15);
  CHECK(result.totals.last_finish == ms(15));
  // 4 for two thirds of the time and 2 for one; the first step of each wave reads prompts.
  CHECK(result.totals.mean_in_system == doctest::Approx(10.0 / 3));
  CHECK(result.totals.running_mean == doctest::Approx(10.0 / 3));
  CHECK(result.totals.waiting_mean == 0);
  CHECK(result.totals.decoding_mean == doctest::Approx(0.8 * 10 / 3));
}

TEST_CASE("simulation: a client never has more in flight than asked for") {
  const Trace trace = random_prompts(200, 900, 120);
  for (const std::int64_t concurrency : {1, 7, 300}) {
    CAPTURE(concurrency);
    ToyEngine settings;
    settings.max_running = 5;
    settings.acceptance = acceptance_of_mean(2, 2);
    const RunResult result = play(trace, client(concurrency), settings, LinearCost{});
    std::map<SimTime, std::int64_t> changes;
    for (const RequestRecord& r : result.records) {
      ++changes[r.arrival];
      --changes[r.finished];
    }
    std::int64_t inside = 0, most = 0;
    for (const auto& [at, change] : changes) most = std::max(most, inside += change);
    CHECK(most == std::min<std::int64_t>(concurrency, 200));
    // Little's law: the parts of the mean number in the system, and of what each request took.
    const RunTotals& t = result.totals;
    CHECK(t.waiting_mean + t.running_mean == doctest::Approx(t.mean_in_system).epsilon(1e-12));
    CHECK(t.decoding_mean < t.running_mean);
    double waiting_ns = 0, decoding_ns = 0;
    for (const RequestRecord& r : result.records) {
      waiting_ns += static_cast<double>((r.admitted - r.arrival).count());
      decoding_ns += static_cast<double>((r.finished - r.first_token).count());
    }
    const auto span = static_cast<double>((t.last_finish - t.first_arrival).count());
    REQUIRE(t.preemptions == 0);  // else requests wait and decode more than once
    CHECK(t.waiting_mean * span == doctest::Approx(waiting_ns).epsilon(1e-12));
    CHECK(t.decoding_mean * span == doctest::Approx(decoding_ns).epsilon(1e-12));
    CHECK(t.mean_in_system <= static_cast<double>(concurrency));
  }
}

TEST_CASE("simulation: a client's warm-up fills caches and is in no figure") {
  const Trace trace = random_prompts(30, 900, 120);
  const ToyEngine settings;
  const RunResult cold = play(trace, client(4), settings, ConstantCost(Duration{1'000'000}));
  const RunResult warm = play(trace, client(4, 6), settings, ConstantCost(Duration{1'000'000}));
  REQUIRE(warm.warmup.size() == 6);
  SimTime last_warmup;
  for (const RequestRecord& r : warm.warmup) {
    CHECK(r.prompt == trace.requests[0].prompt);
    CHECK(r.output == std::min(trace.requests[0].output, kWarmupOutput));
    CHECK(r.id >= 30);
    last_warmup = std::max(last_warmup, r.finished);
  }
  const RunTotals &t = warm.totals, &c = cold.totals;
  CHECK(t.first_arrival == last_warmup);
  CHECK(t.requests == 30);
  CHECK(t.finished == 30);
  CHECK(t.busy + t.binding.idle == t.last_finish - t.first_arrival);
  CHECK(t.prompt_tokens == c.prompt_tokens);
  CHECK(t.output_tokens == c.output_tokens);
  // Prompts have nothing in common: only the first finds what its copies left, nobody else any.
  const Tokens first = trace.requests[0].prompt;
  CHECK(c.hit_tokens == Tokens{0});
  CHECK(t.hit_tokens == round_down(first - Tokens{1}, Tokens{64}));
  CHECK(t.hit_tokens == warm.records[0].hit);
  CHECK(t.hit_tokens > Tokens{0});
  CHECK(t.steps <= c.steps);
  CHECK(t.mean_in_system <= 4);
  CHECK(t.decode_steps == c.decode_steps);
}

TEST_CASE("simulation: the tokens of a run with drafts are exact, their mean is as configured") {
  const Trace trace = random_prompts(60, 300, 2000);
  ToyEngine settings;
  settings.max_running = 64;
  settings.acceptance = acceptance_of_mean(3, 2.97);
  const RunTotals t = play(trace, client(64), settings, LinearCost{}).totals;
  Tokens outputs;
  for (const TraceRequest& r : trace.requests) outputs += r.output;
  CHECK(t.output_tokens == outputs);
  CHECK(t.decoded == outputs - Tokens{60});  // the first token comes with the prompt
  // About 20,000 steps of deviation 1.2; the last of each request may be cut by up to three tokens.
  const double mean = static_cast<double>(t.decoded.value) / static_cast<double>(t.decode_steps);
  const double error = 3.29 * 1.25 / std::sqrt(static_cast<double>(t.decode_steps));
  CHECK(mean < 2.97 + error);
  CHECK(mean > 2.97 - error - 3.0 * 60 / static_cast<double>(t.decode_steps));
}

}  // namespace
}  // namespace v4cap
