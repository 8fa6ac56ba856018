#include "sim/cluster/replica.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sim/config/engine_file.h"
#include "sim/core/parallel.h"
#include "tests/dies.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

SimTime ms(std::int64_t n) {
  return SimTime{Duration{n * 1'000'000}};
}

// Where requests stand: how many each rank has.
std::vector<std::size_t> loads(const Replica& replica) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < replica.size(); ++i) out.push_back(replica.rank(i).requests());
  return out;
}

void submit(Replica& replica, RequestSpec spec) {
  RequestRecord refused;
  REQUIRE(replica.submit(std::move(spec), kSimStart, refused));
}

void run_out(Replica& replica) {
  std::vector<RequestRecord> ended;
  while (replica.has_work()) {
    replica.plan_step(kSimStart);
    replica.finish_step(kSimStart, ended);
  }
}

TEST_CASE("replica: ranks run in lockstep, the slowest ends the step of all") {
  Trace trace;
  add_request(trace, 100, 2, ms(0));
  add_request(trace, 200, 1, ms(0));
  Replica replica = toy_ranks({}, 2);
  const RunResult result = play_on(replica, trace, {}, LinearCost{});
  // A step of 200 tokens, then one of a single token on the first rank: 1 ms + 1 us a token.
  const SimTime first{Duration{1'200'000}};
  CHECK(result.records[0].first_token == first);
  CHECK(result.records[1].finished == first);
  CHECK(result.records[0].finished == first + Duration{1'001'000});
  CHECK(result.totals.steps == 2);
  CHECK(result.totals.mean_batch == 1.5);
}

TEST_CASE("replica: an idle rank has an empty plan") {
  Replica replica = toy_ranks({}, 3);
  CHECK_FALSE(replica.has_work());
  submit(replica, toy_request(1, 10, 2, 0));
  for (int step = 0; step < 2; ++step) {
    const auto plans = replica.plan_step(kSimStart);
    REQUIRE(plans.size() == 3);
    CHECK(plans[0]->pieces.size() == 1);
    CHECK(plans[1]->empty());
    CHECK(plans[2]->empty());
    std::vector<RequestRecord> ended;
    replica.finish_step(ms(step + 1), ended);
    CHECK(ended.size() == (step == 1 ? 1 : 0));
  }
  CHECK_FALSE(replica.has_work());
  replica.check_drained();
}

TEST_CASE("replica: D ranks hold D times the tokens of one") {
  // 20 requests of 4 blocks each, with room for 3 of them on a rank.
  Trace trace;
  for (int i = 0; i < 20; ++i) add_request(trace, 200, 50);
  ToyEngine settings;
  settings.costs.capacity = 12;
  settings.step_tokens = Tokens{1000};
  for (const std::size_t ranks : {1U, 2U, 4U}) {
    CAPTURE(ranks);
    Replica replica = toy_ranks(settings, ranks);
    const RunResult result = play_on(replica, trace, {}, ConstantCost(Duration{1'000'000}));
    CHECK(result.totals.kv_capacity == Bytes{12 * static_cast<std::int64_t>(ranks)});
    CHECK(result.totals.kv_peak.total() == result.totals.kv_capacity);
    std::int64_t most = 0;
    for (const OccupancySample& s : result.occupancy) most = std::max(most, s.running);
    CHECK(most == 3 * static_cast<std::int64_t>(ranks));
    CHECK(result.totals.finished == 20);
  }
}

TEST_CASE("replica: why requests wait is said by the first rank where some do") {
  ToyEngine settings;
  settings.max_running = 1;
  Replica replica = toy_ranks(settings, 2);
  for (std::uint32_t id = 0; id < 2; ++id) submit(replica, toy_request(id, 10, 3, 1000 * id));
  replica.plan_step(kSimStart);
  CHECK(replica.wait_reason() == WaitReason::nothing_waits);
  std::vector<RequestRecord> ended;
  replica.finish_step(ms(1), ended);
  submit(replica, toy_request(2, 10, 3, 2000));  // to the first rank
  submit(replica, toy_request(3, 10, 3, 3000));
  replica.plan_step(ms(1));
  CHECK(replica.wait_reason() == WaitReason::running_cap);
  CHECK(replica.running() == 2);
  CHECK(replica.waiting() == 2);
}

TEST_CASE("router: round robin takes each rank in turn, whatever it has to do") {
  Replica replica = toy_ranks({}, 3, "round_robin");
  for (std::uint32_t id = 0; id < 4; ++id) submit(replica, toy_request(id, 10, 2, 1000 * id));
  CHECK(loads(replica) == std::vector<std::size_t>{2, 1, 1});
  run_out(replica);
  submit(replica, toy_request(9, 10, 2, 9000));
  CHECK(loads(replica) == std::vector<std::size_t>{0, 1, 0});
}

TEST_CASE("router: the shortest queue by requests, then by prompt tokens, then the lowest rank") {
  Replica replica = toy_ranks({}, 3, "shortest_queue");
  submit(replica, toy_request(0, 50, 2, 0));
  submit(replica, toy_request(1, 20, 2, 1000));
  submit(replica, toy_request(2, 20, 2, 2000));
  CHECK(loads(replica) == std::vector<std::size_t>{1, 1, 1});
  submit(replica, toy_request(3, 90, 2, 3000));  // 50, 20 and 20 tokens: the lower of the two
  CHECK(loads(replica) == std::vector<std::size_t>{1, 2, 1});
  submit(replica, toy_request(4, 90, 2, 4000));
  CHECK(loads(replica) == std::vector<std::size_t>{1, 2, 2});
  submit(replica, toy_request(5, 90, 2, 5000));
  CHECK(loads(replica) == std::vector<std::size_t>{2, 2, 2});
  run_out(replica);
  submit(replica, toy_request(6, 10, 2, 6000));  // nothing is left of what ended
  CHECK(loads(replica) == std::vector<std::size_t>{1, 0, 0});
}

TEST_CASE("router: a prefix goes where it is cached, unless it is short or the rank busy") {
  Replica replica = toy_ranks({}, 4, "prefix_affinity=0.5,1.5");
  submit(replica, toy_request(0, 10, 1, 9000));
  submit(replica, toy_request(1, 641, 1, 0));  // to the second rank: 10 blocks of 64
  run_out(replica);
  CHECK(replica.rank(1).would_hit(toy_request(2, 1000, 1, 0)) == Tokens{640});
  CHECK(replica.rank(0).would_hit(toy_request(2, 1000, 1, 0)) == Tokens{0});
  submit(replica, toy_request(2, 1279, 1, 0));  // 640 is more than half
  CHECK(loads(replica) == std::vector<std::size_t>{0, 1, 0, 0});
  submit(replica, toy_request(3, 1280, 1, 0));  // exactly half is not
  CHECK(loads(replica) == std::vector<std::size_t>{1, 1, 0, 0});
  // Up to eight above the mean is chance: at 11 of 12 + 1 the rank has 11 > 3 + 8.
  for (std::uint32_t id = 10; id < 20; ++id) submit(replica, toy_request(id, 700, 1, 0));
  CHECK(loads(replica) == std::vector<std::size_t>{1, 11, 0, 0});
  submit(replica, toy_request(30, 700, 1, 0));
  CHECK(loads(replica) == std::vector<std::size_t>{1, 12, 0, 0});
  submit(replica, toy_request(31, 700, 1, 0));
  CHECK(loads(replica) == std::vector<std::size_t>{1, 12, 1, 0});
}

TEST_CASE("router: names and arguments") {
  CHECK_THROWS_WITH_AS(make_router("round_robbin"),
                       "unknown router 'round_robbin'; did you mean 'round_robin'?", InputError);
  CHECK_NOTHROW(make_router("prefix_affinity"));
  CHECK_NOTHROW(make_router("prefix_affinity=0.3"));
  for (const std::string name :
       {"round_robin=1", "shortest_queue=x", "prefix_affinity=2", "prefix_affinity=0.5,",
        "prefix_affinity=0.5,0.9", "prefix_affinity=,2", "prefix_affinity=0.5;2"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(make_router(name), InputError);
  }
  CHECK(dies([] {
    std::vector<std::unique_ptr<Engine>> two;
    two.push_back(ToyEngine{}.make());
    two.push_back(ToyEngine{}.make());
    Replica(std::move(two), nullptr);
  }));
}

double hit_rate(const RunResult& result) {
  return static_cast<double>(result.totals.hit_tokens.value) /
         static_cast<double>(result.totals.prompt_tokens.value);
}

TEST_CASE("replica: affinity finds what a session left behind, round robin loses it") {
  const Trace trace = random_sessions(4, 80);
  ToyEngine settings;
  const auto rate = [&](const std::string& router, std::size_t ranks) {
    Replica replica = toy_ranks(settings, ranks, router);
    return hit_rate(play_on(replica, trace, closed_loop(16), LinearCost{}));
  };
  const double one = rate("round_robin", 1);
  CHECK(rate("prefix_affinity", 4) > 0.9 * one);
  CHECK(rate("round_robin", 4) < 0.75 * one);
  CHECK(rate("shortest_queue", 4) < rate("prefix_affinity", 4));
}

struct Deployed {
  std::size_t ranks;
  std::string router;
};

std::vector<Deployed> deployments() {
  std::vector<Deployed> out;
  for (const std::size_t ranks : {1U, 2U, 3U}) {
    for (const std::string router : {"round_robin", "shortest_queue", "prefix_affinity=0.2"}) {
      out.push_back({ranks, router});
    }
  }
  return out;
}

RunResult play_deployed(const Deployed& d, const Trace& trace, std::uint64_t seed) {
  Replica replica = toy_ranks(tight_engine("checkpoint=128"), d.ranks, d.router);
  const auto sessions = static_cast<std::int64_t>(20 * d.ranks);
  return play_on(replica, trace, seed % 2 == 0 ? closed_loop(sessions) : WorkloadConfig{},
                 LinearCost{}, seed);
}

TEST_CASE("replica: conservation under memory pressure, with every router") {
  for (const Deployed& d : deployments()) {
    CAPTURE(d.ranks);
    CAPTURE(d.router);
    std::int64_t preemptions = 0;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      CAPTURE(seed);
      const Trace trace = random_sessions(seed, 60);
      const RunResult result = play_deployed(d, trace, seed);
      const RunTotals& t = result.totals;
      SimTime last_step = t.first_arrival;  // a refused request may come after it
      for (const RequestRecord& r : result.records) {
        if (r.end == RequestEnd::finished) last_step = std::max(last_step, r.finished);
      }
      CHECK(t.finished + t.refused == static_cast<std::int64_t>(trace.requests.size()));
      CHECK(t.busy + t.binding.idle == last_step - t.first_arrival);
      Duration named = t.binding.running_cap + t.binding.step_tokens +
                       t.binding.nothing_waits_decode + t.binding.nothing_waits_prefill;
      for (const auto& [pool, time] : t.binding.memory_pools) named += time;
      CHECK(named == t.busy);
      preemptions += t.preemptions;
    }
    CHECK(preemptions > 0);
  }
}

TEST_CASE("replica: results do not depend on threads or on the order of runs") {
  const Trace trace = random_sessions(3, 60);
  const std::vector<Deployed> all = deployments();
  std::vector<std::uint64_t> in_order, at_once(all.size());
  for (const Deployed& d : all) {
    in_order.push_back(play_deployed(d, trace, 2).totals.result_hash);
  }
  const auto backwards = [&](std::size_t i) {
    const std::size_t at = all.size() - 1 - i;
    at_once[at] = play_deployed(all[at], trace, 2).totals.result_hash;
  };
  parallel_for(all.size(), backwards, 4);
  CHECK(in_order == at_once);
  CHECK(in_order[0] == in_order[1]);  // with one rank the router has no say
  CHECK(in_order[0] != in_order[3]);
}

ToyEngine sglang_rank() {
  static const EngineData data = known_engine("sglang");
  ToyEngine settings;
  settings.scheduler = "sglang";
  settings.rules.options = data.scheduler->options;
  return settings;
}

// What each rank does in a step: "-" nothing, "d" decodes, "p" prefills, "m" both.
std::string deeds(std::span<const StepPlan* const> ranks) {
  std::string out;
  for (const StepPlan* plan : ranks) {
    bool decodes = false, prefills = false;
    for (const StepPiece& piece : plan->pieces) {
      (piece.kind == PieceKind::decode ? decodes : prefills) = true;
    }
    out += prefills ? (decodes ? 'm' : 'p') : (decodes ? 'd' : '-');
  }
  return out;
}

// One step of 1 ms.
std::string step(Replica& replica, int& now_ms) {
  std::string out = deeds(replica.plan_step(ms(now_ms)));
  std::vector<RequestRecord> ended;
  replica.finish_step(ms(++now_ms), ended);
  return out;
}

void submit_at(Replica& replica, RequestSpec spec, int now_ms) {
  RequestRecord refused;
  REQUIRE(replica.submit(std::move(spec), ms(now_ms), refused));
}

TEST_CASE("rank rules: a rank that prefills stops the others, where it must") {
  for (const bool alone : {false, true}) {
    CAPTURE(alone);
    Replica replica = toy_ranks(sglang_rank(), 3, "round_robin", {.prefill_alone = alone});
    int now = 0;
    submit_at(replica, toy_request(0, 10, 9, 0), now);
    CHECK(step(replica, now) == "p--");
    CHECK(step(replica, now) == "d--");
    submit_at(replica, toy_request(1, 300, 9, 1000), now);  // two chunks
    CHECK(step(replica, now) == (alone ? "-p-" : "dp-"));
    CHECK(step(replica, now) == (alone ? "-p-" : "dp-"));
    CHECK(step(replica, now) == "dd-");
    submit_at(replica, toy_request(2, 10, 9, 2000), now);
    submit_at(replica, toy_request(3, 10, 9, 3000), now);
    CHECK(step(replica, now) == (alone ? "p-p" : "pdp"));
    CHECK(step(replica, now) == "ddd");
  }
}

// A rank may want to prefill and find no room: it must not decode beside one that does.
TEST_CASE("rank rules: who wants to prefill and cannot stands by as well") {
  ToyEngine settings = sglang_rank();
  settings.costs.capacity = 6;
  Replica replica = toy_ranks(settings, 2, "round_robin", {.prefill_alone = true});
  int now = 0;
  submit_at(replica, toy_request(0, 200, 9, 0), now);
  submit_at(replica, toy_request(1, 10, 9, 1000), now);
  CHECK(step(replica, now) == "pp");
  submit_at(replica, toy_request(2, 300, 9, 2000), now);  // 5 blocks beside 4
  submit_at(replica, toy_request(3, 10, 9, 3000), now);
  CHECK(step(replica, now) == "-p");
  CHECK(replica.rank(0).wait_reason() == WaitReason::memory);
  CHECK(step(replica, now) == "dd");  // the first rank is full and wants nothing any more
  CHECK(replica.rank(0).wait_reason() == WaitReason::memory);
  submit_at(replica, toy_request(4, 10, 9, 4000), now);  // to the full rank
  submit_at(replica, toy_request(5, 10, 9, 5000), now);
  CHECK(step(replica, now) == "-p");
  CHECK(replica.rank(0).wait_reason() == WaitReason::memory);  // not the other's prefill
}

TEST_CASE("rank rules: the delayer holds prefill back until all ranks want it, or so many steps") {
  for (const std::int64_t steps : {1, 3}) {
    CAPTURE(steps);
    Replica replica = toy_ranks(sglang_rank(), 2, "round_robin", {.delay_steps = steps});
    int now = 0;
    submit_at(replica, toy_request(0, 10, 99, 0), now);
    CHECK(step(replica, now) == "p-");  // nobody decodes: nothing to wait for
    CHECK(step(replica, now) == "d-");
    submit_at(replica, toy_request(1, 10, 99, 1000), now);
    for (std::int64_t i = 0; i < steps; ++i) {
      CHECK(step(replica, now) == "d-");
      CHECK(replica.rank(1).wait_reason() == WaitReason::prefill_delayed);
    }
    CHECK(step(replica, now) == "dp");
    CHECK(step(replica, now) == "dd");
    submit_at(replica, toy_request(2, 10, 99, 2000), now);
    CHECK(step(replica, now) == "dd");
    submit_at(replica, toy_request(3, 10, 99, 3000), now);
    CHECK(step(replica, now) == "pp");  // now both want it
  }
}

TEST_CASE("rank rules: the delayer lets a prompt go on that has begun, and then it is alone too") {
  for (const bool alone : {false, true}) {
    CAPTURE(alone);
    Replica replica =
        toy_ranks(sglang_rank(), 3, "round_robin", {.prefill_alone = alone, .delay_steps = 9});
    int now = 0;
    submit_at(replica, toy_request(0, 500, 9, 0), now);
    submit_at(replica, toy_request(1, 10, 9, 1000), now);
    CHECK(step(replica, now) == "pp-");
    CHECK(step(replica, now) == (alone ? "p--" : "pd-"));
    CHECK(step(replica, now) == "dd-");
  }
}

TEST_CASE("rank rules: when those that decode have ended, delayed prefill goes on") {
  Replica replica = toy_ranks(sglang_rank(), 2, "round_robin", {.delay_steps = 100});
  int now = 0;
  submit_at(replica, toy_request(0, 10, 3, 0), now);
  CHECK(step(replica, now) == "p-");
  submit_at(replica, toy_request(1, 10, 2, 1000), now);
  CHECK(step(replica, now) == "d-");
  CHECK(step(replica, now) == "d-");
  CHECK(step(replica, now) == "-p");
  CHECK(step(replica, now) == "-d");
  CHECK_FALSE(replica.has_work());
}

// Looks at every step of a run.
class WatchedCost final : public CostModel {
 public:
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    const std::string all = deeds(ranks);
    const auto has = [&](char deed) { return all.find(deed) != std::string::npos; };
    both_ += has('p') && has('d') ? 1 : 0;
    prefills_ += has('p') ? 1 : 0;
    mixed_ += has('m') ? 1 : 0;
    empty_ += has('p') || has('d') || has('m') ? 0 : 1;
    StepTime time = linear_.step_time(ranks);
    time.host = Duration{400'000};
    return time;
  }
  std::int64_t both() const { return both_; }
  std::int64_t prefills() const { return prefills_; }
  std::int64_t odd() const { return mixed_ + empty_; }

 private:
  LinearCost linear_;
  mutable std::int64_t both_ = 0, prefills_ = 0, mixed_ = 0, empty_ = 0;
};

TEST_CASE("rank rules: random sessions in tiny memory drain, and no rank decodes beside prefill") {
  for (const bool alone : {false, true}) {
    for (const std::int64_t delay : {0, 1, 30}) {
      CAPTURE(alone);
      CAPTURE(delay);
      std::int64_t preemptions = 0, both = 0, prefills = 0;
      for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        ToyEngine settings = tight_engine("checkpoint=128");
        settings.scheduler = "sglang";
        settings.rules.options = sglang_rank().rules.options;
        settings.rules.options["clip_max_new_tokens"] = 0;  // admits too many
        if (seed % 2 == 0) settings.acceptance = acceptance_of_mean(3, 2.5);
        const std::size_t ranks = 2 + seed % 3;
        Replica replica = toy_ranks(settings, ranks, "shortest_queue", {alone, delay});
        const WatchedCost cost;
        const Trace trace = random_sessions(seed, 30);
        const RunResult result =
            play_on(replica, trace, closed_loop(static_cast<std::int64_t>(12 * ranks)), cost, seed,
                    HostRules{seed % 4 < 2, {}, nullptr});
        CHECK(result.totals.finished + result.totals.refused ==
              static_cast<std::int64_t>(trace.requests.size()));
        CHECK(cost.odd() == 0);
        preemptions += result.totals.preemptions;
        both += cost.both();
        prefills += cost.prefills();
      }
      CHECK(preemptions > 0);
      CHECK(prefills > 0);
      CHECK((both > 0) == !alone);
    }
  }
}

}  // namespace
}  // namespace v4cap
