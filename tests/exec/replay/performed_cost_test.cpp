// Steps on a clock: what is a step's time, and how simulated and real time stay together.
#include "exec/replay/performed_cost.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/exec/replay/fake_world.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap::exec {
namespace {

Duration us(std::int64_t n) {
  return Duration{n * 1'000};
}

SimTime at_us(std::int64_t n) {
  return kSimStart + us(n);
}

// Takes 70 us.
class Steady final : public StepPerformer {
 public:
  explicit Steady(FakeClock& clock) : clock_(clock) {}
  void perform(const StepPlan&) override { clock_.pass(us(70)); }

 private:
  FakeClock& clock_;
};

TEST_CASE("performed cost: a step's time runs from the end of the one before it") {
  FakeClock clock;
  Steady performer(clock);
  PerformedCost cost(performer, clock, Pace::real_time);
  const StepPlan plan{.pieces = {{}}, .copies = {}};
  CHECK(cost.idle_until(at_us(500)));
  CHECK(clock.sleeps == 0);  // the run begins with its first arrival
  CHECK(cost.step_time(plan).total == us(70));
  clock.pass(us(9));  // planning
  const StepTime second = cost.step_time(plan);
  CHECK(second.total == us(79));
  CHECK(second.gpu == us(79));
  CHECK(second.roofline_floor == Duration{0});
  CHECK(second.share.measured_s == to_seconds(us(79)));
  CHECK(second.share.roofline_s + second.share.host_s + second.share.interpolated_s == 0);
}

TEST_CASE("performed cost: what ends late is in no step, and what follows moves with it") {
  FakeClock clock;
  Steady performer(clock);
  PerformedCost cost(performer, clock, Pace::real_time);
  const StepPlan plan{.pieces = {{}}, .copies = {}};
  const Duration start = clock.now();
  cost.idle_until(at_us(0));
  cost.step_time(plan);

  clock.oversleeps = {us(30)};
  cost.idle_until(at_us(200));
  CHECK(clock.now() - start == us(230));
  clock.pass(us(5));
  CHECK(cost.step_time(plan).total == us(75));  // ends at 275 us of simulated time

  cost.idle_until(at_us(400));
  CHECK(clock.now() - start == us(430));
  cost.step_time(plan);
  clock.pass(us(12));  // bookkeeping ends behind an arrival that was due 10 us after the step
  cost.idle_until(at_us(480));
  CHECK(clock.now() - start == us(512));
  CHECK(cost.step_time(plan).total == us(70));
  CHECK(cost.late_ms() == std::vector<double>{0.03, 0, 0.002});
}

TEST_CASE("performed cost: as fast as possible, gaps are skipped") {
  FakeClock clock;
  Steady performer(clock);
  PerformedCost cost(performer, clock, Pace::as_fast_as_possible);
  const StepPlan plan{.pieces = {{}}, .copies = {}};
  const Duration start = clock.now();
  cost.idle_until(at_us(0));
  cost.step_time(plan);
  clock.pass(us(3));  // what is left of the step before, in nobody's time
  cost.idle_until(at_us(900'000));
  CHECK(cost.step_time(plan).total == us(70));
  CHECK(clock.now() - start == us(143));
  CHECK(clock.sleeps == 0);
  CHECK(cost.late_ms().empty());
}

TEST_CASE("performed cost: a long wait can be given up, a clock that stands still is 1 ns") {
  FakeClock clock;
  Steady performer(clock);
  int questions = 0;
  PerformedCost cost(performer, clock, Pace::real_time, [&] { return ++questions > 7; });
  CHECK(cost.idle_until(at_us(0)));
  CHECK(cost.idle_until(at_us(500'000)));
  CHECK(questions == 5);
  CHECK_FALSE(cost.idle_until(at_us(3'600'000'000)));
  CHECK(clock.sleeps == 7);

  class Instant final : public StepPerformer {
    void perform(const StepPlan&) override {}
  } instant;
  PerformedCost none(instant, clock, Pace::as_fast_as_possible);
  none.idle_until(kSimStart);
  CHECK(none.step_time(StepPlan{.pieces = {{}}, .copies = {}}).total == Duration{1});
}

// Open arrivals and think times alike: each step begins on the clock at its simulated time, moved
// by what waits before it were late.
TEST_CASE("performed cost: a run holds its arrivals against the clock") {
  for (const bool closed : {false, true}) {
    CAPTURE(closed);
    const Trace trace = random_sessions(3, 30);
    FakeClock clock;
    for (int i = 0; i < 1000; ++i) clock.oversleeps.push_back(us(i % 7 == 0 ? 400 : 1));
    FakePerformer performer(clock, 5);
    PerformedCost cost(performer, clock, Pace::real_time);
    const Duration start = clock.now();
    std::vector<std::size_t> waits;  // before each step
    std::vector<SimTime> begins;
    HostRules host;
    host.idle_until = [&](SimTime next) { CHECK(cost.idle_until(next)); };
    Replica replica(tight_engine("full").make());
    host.step_timed = [&](SimTime begin, std::span<const StepPlan* const>, const StepTime&) {
      begins.push_back(begin);
      waits.push_back(cost.late_ms().size());
    };
    WorkloadConfig config = closed ? closed_loop(1) : WorkloadConfig{};
    config.time_scale = closed ? 1 : 40;  // so that there are gaps
    const RunResult result = play_on(replica, trace, config, cost, 1, host);
    CHECK(result.totals.steps == static_cast<std::int64_t>(begins.size()));
    const std::vector<double>& late = cost.late_ms();
    CHECK(late.size() > 10);
    REQUIRE(performer.begins.size() == begins.size());
    for (std::size_t i = 0; i < begins.size(); ++i) {
      const double late_ms =
          std::accumulate(late.begin(), late.begin() + static_cast<std::ptrdiff_t>(waits[i]), 0.0);
      const Duration simulated = begins[i] - begins.front();
      CHECK(to_ms(performer.begins[i] - start - simulated) == doctest::Approx(late_ms));
    }
  }
}

}  // namespace
}  // namespace v4cap::exec
