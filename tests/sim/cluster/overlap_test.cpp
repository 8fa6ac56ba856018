// The host beside the GPU: steps that are launched while the one before runs, tokens that are seen
// one launch later, prompts that are read before the engine has them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/config/engine_file.h"
#include "tests/dies.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

SimTime ms(std::int64_t n) {
  return SimTime{Duration{n * 1'000'000}};
}

Duration of_ms(std::int64_t n) {
  return Duration{n * 1'000'000};
}

struct ScriptedStep {
  std::int64_t host_ms, gpu_ms;
};

// The steps of one run in order; the last stands for all behind it.
class ScriptedCost final : public CostModel {
 public:
  explicit ScriptedCost(std::vector<ScriptedStep> steps) : steps_(std::move(steps)) {}
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const>) const override {
    const ScriptedStep s = steps_[std::min(next_++, steps_.size() - 1)];
    StepTime time;
    time.host = of_ms(s.host_ms);
    time.gpu = of_ms(s.gpu_ms);
    time.total = std::max(time.host, time.gpu);
    return time;
  }

 private:
  std::vector<ScriptedStep> steps_;
  mutable std::size_t next_ = 0;
};

// A fixed part and one for each token of the slowest rank; the host takes what it takes.
class HostedCost final : public CostModel {
 public:
  static constexpr Duration kStep{1'000'000}, kToken{1'000};

  explicit HostedCost(Duration host) : host_(host) {}
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    StepTime time = linear_.step_time(ranks);
    time.host = host_;
    time.total = std::max(time.host, time.gpu);
    return time;
  }

 private:
  LinearCost linear_;
  Duration host_;
};

HostRules overlapped(Duration prompt_token = {}) {
  HostRules rules;
  rules.overlapped = true;
  rules.prompt_token = prompt_token;
  return rules;
}

HostRules reads(Duration prompt_token) {
  HostRules rules;
  rules.prompt_token = prompt_token;
  return rules;
}

HostRules explains(StepLedgers& ledgers) {
  HostRules rules;
  rules.explained = &ledgers;
  return rules;
}

// First token, second token and end of each request in ms.
using Times = std::vector<std::vector<std::int64_t>>;

Times times(const RunResult& result) {
  const auto whole = [](SimTime t) { return t.time_since_epoch().count() / 1'000'000; };
  Times out;
  for (const RequestRecord& r : result.records) {
    out.push_back({whole(r.first_token), whole(r.second_token), whole(r.finished)});
  }
  return out;
}

RunResult play_steps(const Trace& trace, std::vector<ScriptedStep> steps,
                     const ToyEngine& settings = {}) {
  return play(trace, {}, settings, ScriptedCost(std::move(steps)), 1, overlapped());
}

TEST_CASE("overlap: a request of three tokens, by hand") {
  struct Row {
    std::string name;
    std::vector<ScriptedStep> steps;
    std::vector<std::int64_t> seen;  // when each token is
  };
  const Row rows[] = {
      // L 0, 1, 10; G 10, 20, 30: each launch but the second waits for the GPU.
      {"bound by the GPU", {{1, 10}}, {10, 20, 30}},
      // L 0, 10, 20; C = G 10, 20, 30: tokens are there with the launch, and seen with the next.
      {"bound by the host", {{10, 1}}, {20, 30, 30}},
      // C 2, 11, 12; G 7, 11 (launched only then), 16.
      {"mixed", {{2, 7}, {9, 3}, {1, 5}}, {11, 12, 16}},
      // A long launch hides behind the long step before: C 1, 9, 21; G 20, 23, 26.
      {"hidden", {{1, 20}, {8, 3}, {1, 3}}, {20, 23, 26}},
      {"no host", {{0, 4}}, {4, 8, 12}}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Trace trace;
    add_request(trace, 5, 3);
    const RunResult result = play_steps(trace, row.steps);
    CHECK(times(result) == Times{row.seen});
    CHECK(result.totals.steps == 3);
  }
}

TEST_CASE("overlap: a request that ends with its first token, beside one that goes on") {
  Trace trace;
  add_request(trace, 5, 1);
  add_request(trace, 5, 3);
  add_request(trace, 5, 0);  // aborted: its prompt was read and nobody gets a token
  CHECK(play_steps(trace, {{1, 10}}).records[2].first_token == kSimStart);
  CHECK(times(play_steps(trace, {{1, 10}})) == Times{{10, 0, 10}, {10, 20, 30}, {0, 0, 10}});
}

TEST_CASE("overlap: after an idle gap the pipeline starts anew") {
  Trace trace;
  add_request(trace, 5, 3, ms(0));
  add_request(trace, 5, 2, ms(50));
  const RunResult result = play_steps(trace, {{1, 10}});
  CHECK(times(result) == Times{{10, 20, 30}, {60, 70, 70}});
  CHECK(result.records[1].admitted == ms(50));
  CHECK(result.totals.binding.idle == of_ms(20));
}

TEST_CASE("overlap: without work the host waits for the GPU, whoever comes meanwhile") {
  // The last launch ends at 11, the launch behind it would be at 20, the GPU ends at 30.
  for (const std::int64_t at : {15, 20, 21, 29}) {
    CAPTURE(at);
    Trace trace;
    add_request(trace, 5, 3, ms(0));
    add_request(trace, 5, 1, ms(at));
    const RunResult result = play_steps(trace, {{1, 10}});
    const bool behind = at <= 20;  // it is there before the host has nothing else to do
    CHECK(result.records[0].finished == ms(30));
    CHECK(result.records[1].admitted == ms(behind ? 20 : 30));
    CHECK(result.records[1].finished == ms(40));
    CHECK(result.totals.binding.idle == Duration{0});
  }
}

TEST_CASE("overlap: a request that arrives while a step runs is in the launch after the next") {
  // Launches at 0, 1, 10, 20: at 10 the step of 1 to 2 is launched and that of 0 has ended.
  Trace trace;
  add_request(trace, 5, 9, ms(0));
  add_request(trace, 5, 1, ms(2));
  const RunResult result = play_steps(trace, {{1, 10}});
  CHECK(result.records[1].admitted == ms(10));
  CHECK(result.records[1].finished == ms(30));
}

TEST_CASE("overlap: drafts yield several tokens at one instant") {
  Trace trace;
  add_request(trace, 5, 5);
  ToyEngine settings;
  settings.acceptance = {0, 1};  // two tokens a step
  CHECK(times(play_steps(trace, {{1, 10}}, settings)) == Times{{10, 20, 30}});
}

TEST_CASE("overlap: a refused request ends when it comes and disturbs nobody") {
  Trace trace;
  add_request(trace, 5, 3, ms(0));
  add_request(trace, 2'000'000, 1, ms(5));
  const RunResult result = play_steps(trace, {{1, 10}});
  CHECK(times(result)[0] == std::vector<std::int64_t>{10, 20, 30});
  CHECK(result.records[1].end == RequestEnd::refused);
  CHECK(result.records[1].finished == ms(5));
}

TEST_CASE("overlap: a cost model that knows nothing of the GPU cannot be overlapped") {
  Trace trace;
  add_request(trace, 5, 3);
  CHECK(dies([&] { play(trace, {}, {}, ConstantCost(of_ms(1)), 1, overlapped()); }));
}

TEST_CASE("overlap: a host that is not overlapped looks at the whole step alone") {
  // The same totals, whatever takes them.
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    CAPTURE(seed);
    const Trace trace = random_sessions(seed, 40);
    const ToyEngine settings = tight_engine("checkpoint=128");
    const auto hash = [&](const CostModel& cost, HostRules host) {
      return play(trace, closed_loop(12), settings, cost, seed, host).totals.result_hash;
    };
    const std::uint64_t linear = hash(LinearCost{}, {});
    CHECK(hash(HostedCost(Duration{0}), {}) == linear);
    CHECK(hash(HostedCost(Duration{700'000}), {}) == linear);
    CHECK(hash(HostedCost(Duration{700'000}), overlapped()) != linear);
    CHECK(hash(HostedCost(Duration{0}), reads(Duration{1'000})) != linear);
  }
}

TEST_CASE("overlap: with one request at a time and no host, tokens come when the GPU has them") {
  const Trace trace = random_sessions(4, 40);
  WorkloadConfig client;
  client.arrivals = ArrivalMode::client;
  client.concurrency = 1;
  Trace single = trace;
  single.after.clear();
  for (TraceRequest& r : single.requests) r.after_begin = r.after_end = 0;
  const auto run = [&](HostRules host) {
    return play(single, client, tight_engine("full"), HostedCost(Duration{0}), 1, host);
  };
  const RunResult plain = run({}), over = run(overlapped());
  REQUIRE(plain.records.size() == over.records.size());
  CHECK(plain.totals.preemptions == 0);
  for (std::size_t i = 0; i < plain.records.size(); ++i) {
    const RequestRecord &a = plain.records[i], &b = over.records[i];
    CAPTURE(i);
    CHECK(a.arrival == b.arrival);
    CHECK(a.admitted == b.admitted);
    CHECK(a.first_token == b.first_token);
    CHECK(a.second_token == b.second_token);
    CHECK(a.finished == b.finished);
    CHECK(a.hit == b.hit);
  }
}

TEST_CASE("host: prompts are read one after the other before the engine has them") {
  Trace trace;
  add_request(trace, 5, 1);
  add_request(trace, 10, 1);
  const RunResult result =
      play(trace, {}, {}, ConstantCost(Duration{1'000'000}), 1, reads(of_ms(1)));
  CHECK(result.records[0].arrival == kSimStart);
  CHECK(result.records[0].admitted == ms(5));
  CHECK(result.records[0].finished == ms(6));
  CHECK(result.records[1].arrival == kSimStart);
  CHECK(result.records[1].admitted == ms(15));
  CHECK(result.records[1].finished == ms(16));
  // Little's law: 6 + 16 ms in the system, of them 5 + 15 before admission.
  CHECK(result.totals.mean_in_system == doctest::Approx(22.0 / 16).epsilon(1e-12));
  CHECK(result.totals.waiting_mean == doctest::Approx(20.0 / 16).epsilon(1e-12));
  CHECK(result.totals.running_mean == doctest::Approx(2.0 / 16).epsilon(1e-12));
  CHECK(result.totals.binding.idle == of_ms(14));
}

TEST_CASE("host: the reader goes on while steps run, and a refused prompt is read as well") {
  Trace trace;
  add_request(trace, 2'000'000, 1, ms(0));  // read until 2 s
  add_request(trace, 4, 1, ms(1'999));
  const RunResult result =
      play(trace, {}, {}, ConstantCost(Duration{1'000'000}), 1, reads(Duration{1'000}));
  CHECK(result.records[0].end == RequestEnd::refused);
  CHECK(result.records[0].finished == ms(2'000));
  CHECK(result.records[1].admitted == ms(2'000) + Duration{4'000});
}

struct Played {
  std::string name;
  std::string policy, scheduler;
  std::vector<double> acceptance{1};
};

std::vector<Played> played() {
  return {{"fcfs", "checkpoint=128", "fcfs"},
          {"fcfs drafts", "full", "fcfs", acceptance_of_mean(3, 2.5)},
          {"vllm", "recompute", "vllm"},
          {"vllm drafts", "tail", "vllm", acceptance_of_mean(2, 1.7)},
          {"sglang", "pool=0.3", "sglang"},
          {"sglang drafts", "checkpoint=128", "sglang", acceptance_of_mean(3, 2.5)}};
}

ToyEngine engine_of(const Played& p) {
  ToyEngine settings = tight_engine(p.policy);
  settings.scheduler = p.scheduler;
  settings.acceptance = p.acceptance;
  if (p.scheduler == "sglang") settings.rules.options = known_engine("sglang").scheduler->options;
  return settings;
}

void check_record(const RequestRecord& r, const TraceRequest& asked, const ToyEngine& settings,
                  Duration host, Duration prompt_token) {
  CAPTURE(r.id);
  const SimTime read = r.arrival + prompt_token * asked.prompt.value;
  CHECK(r.finished != kNotSeenYet);
  if (r.end == RequestEnd::refused) {
    CHECK(r.finished >= read);
    return;
  }
  CHECK(r.hit + r.computed == r.prompt);
  CHECK(r.admitted >= read);
  CHECK(r.finished > r.admitted);
  if (r.output == Tokens{0}) return;
  // What runs of the prompt needs its steps on the GPU one after the other, whatever is launched
  // early, and each step a launch.
  const Tokens ran = r.computed + r.rebuilt;
  const std::int64_t steps =
      (ran.value + settings.step_tokens.value - 1) / settings.step_tokens.value;
  CHECK(r.first_token - r.admitted >=
        std::max(HostedCost::kStep * steps + HostedCost::kToken * ran.value, host * steps));
  if (r.output >= Tokens{2}) {
    CHECK(r.second_token >= r.first_token);
    CHECK(r.finished >= r.second_token);
    // A step each on the GPU. The first token may be seen as late as the second one's launch.
    if (settings.acceptance.size() == 1) {
      CHECK(r.finished - r.first_token >= HostedCost::kStep * (r.output.value - 2));
    }
  } else {
    CHECK(r.finished == r.first_token);
  }
}

TEST_CASE("overlap: random sessions in tiny memory drain, with every scheduler and 1 to 4 ranks") {
  for (const Played& p : played()) {
    CAPTURE(p.name);
    const ToyEngine settings = engine_of(p);
    std::int64_t preemptions = 0, refused = 0, hits = 0;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(seed);
      const std::size_t ranks = 1 + seed % 4;
      const Duration host{static_cast<std::int64_t>(seed % 5) * 600'000};
      const Duration prompt_token{static_cast<std::int64_t>(seed % 3) * 2'000};
      const Trace trace = random_sessions(seed, 30);
      const auto run = [&] {
        Replica replica = toy_ranks(settings, ranks, "shortest_queue");
        const auto sessions = static_cast<std::int64_t>(8 * ranks);
        return play_on(replica, trace, seed % 2 == 0 ? closed_loop(sessions) : WorkloadConfig{},
                       HostedCost(host), seed, overlapped(prompt_token));
      };
      const RunResult result = run();
      const RunTotals& t = result.totals;
      CHECK(t.finished + t.refused == static_cast<std::int64_t>(trace.requests.size()));
      for (const RequestRecord& r : result.records) {
        check_record(r, trace.requests[r.id], settings, host, prompt_token);
      }
      // The GPU runs one step at a time, and is idle at most as long as the engine was.
      CHECK(t.last_finish - t.first_arrival >= t.binding.idle + HostedCost::kStep * t.steps);
      if (seed % 10 == 0) CHECK(run().totals.result_hash == t.result_hash);
      preemptions += t.preemptions;
      refused += t.refused;
      hits += t.hit_tokens.value;
    }
    CHECK(preemptions > 0);
    CHECK(refused > 0);
    CHECK(hits > 0);
  }
}

TEST_CASE("overlap: Little's law to 1e-9, reader and pipeline included") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const RunResult result = play(random_sessions(seed, 60), closed_loop(12), tight_engine("full"),
                                  HostedCost(Duration{900'000}), seed, overlapped(Duration{3'000}));
    double in_system_ns = 0, decoding_ns = 0;
    for (const RequestRecord& r : result.records) {
      in_system_ns += static_cast<double>((r.finished - r.arrival).count());
      if (r.output > Tokens{0} && r.end == RequestEnd::finished) {
        decoding_ns += static_cast<double>((r.finished - r.first_token).count());
      }
    }
    const RunTotals& t = result.totals;
    const auto span = static_cast<double>((t.last_finish - t.first_arrival).count());
    CHECK(t.mean_in_system * span == doctest::Approx(in_system_ns).epsilon(1e-9));
    CHECK((t.waiting_mean + t.running_mean) * span == doctest::Approx(in_system_ns).epsilon(1e-9));
    // A request decodes in the engine's eyes one launch earlier than its client sees it, at either
    // end, so means over many requests agree closely but not to the digit.
    if (t.preemptions == 0)
      CHECK(t.decoding_mean * span == doctest::Approx(decoding_ns).epsilon(0.05));
  }
}

// A launch is measured as it is: the warm-up's last tokens are seen before the first request comes.
TEST_CASE("overlap: a client's warm-up is seen to its end before anything is measured") {
  Trace trace;
  for (int i = 0; i < 6; ++i) add_request(trace, 40, 3);
  WorkloadConfig client;
  client.arrivals = ArrivalMode::client;
  client.concurrency = 2;
  client.warmup_requests = 3;
  const RunResult result =
      play(trace, client, {}, ScriptedCost({{1, 10}}), 1, overlapped(Duration{1'000}));
  REQUIRE(result.warmup.size() == 3);
  SimTime last;
  for (const RequestRecord& r : result.warmup) last = std::max(last, r.finished);
  CHECK(result.totals.first_arrival == last);
  CHECK(result.totals.finished == 6);
  CHECK(result.totals.decoded == Tokens{12});
  CHECK(result.totals.mean_in_system <= 2);
}

TEST_CASE("explain: the parts of a run's steps sum to their time, of the measured ones alone") {
  Trace trace;
  for (int i = 0; i < 6; ++i) add_request(trace, 40, 3);
  WorkloadConfig client;
  client.arrivals = ArrivalMode::client;
  client.concurrency = 1;
  client.warmup_requests = 3;
  StepLedgers ledgers;
  const RunResult result = play(trace, client, {}, ConstantCost(of_ms(1)), 1, explains(ledgers));
  CHECK(ledgers.prefill_steps == 6);
  CHECK(ledgers.decode_steps == 12);
  CHECK(ledgers.prefill_steps + ledgers.decode_steps == result.totals.steps);
  CHECK(ledgers.decode.seconds().at("step") == doctest::Approx(0.012));
  CHECK(ledgers.prefill.seconds().at("step") == doctest::Approx(0.006));
  // Nobody else decodes while the only request is read.
  CHECK(ledgers.decoding_s == doctest::Approx(0.012));
  CHECK(ledgers.decoding_beside_prefill_s == 0);
}

TEST_CASE("explain: a request that stands by for another's prompt decodes beside prefill") {
  // Steps of 1 ms: prompt of the first, one token, both (the second's prompt goes beside it), one.
  Trace trace;
  add_request(trace, 40, 4, ms(0));
  add_request(trace, 40, 1, ms(2));
  StepLedgers ledgers;
  play(trace, {}, {}, ConstantCost(of_ms(1)), 1, explains(ledgers));
  CHECK(ledgers.prefill_steps == 2);
  CHECK(ledgers.decoding_s == doctest::Approx(0.003));
  CHECK(ledgers.decoding_beside_prefill_s == doctest::Approx(0.001));
}

}  // namespace
}  // namespace v4cap
