// A clock that only moves when it is told to, and a performer whose steps take random times on it.
#pragma once

#include <boost/random/uniform_int_distribution.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "exec/replay/performed_cost.h"
#include "sim/cluster/run_log.h"
#include "sim/core/random.h"
#include "tests/sim/cluster/toy_world.h"

namespace v4cap::exec {

class FakeClock final : public ReplayClock {
 public:
  Duration now() override { return now_; }
  // Wakes up late by what `oversleeps` says next, then on time.
  void sleep_until(Duration instant) override {
    ++sleeps;
    now_ = std::max(now_, instant);
    if (slept_ < oversleeps.size()) now_ += oversleeps[slept_++];
  }
  void pass(Duration time) { now_ += time; }

  std::vector<Duration> oversleeps;
  int sleeps = 0;

 private:
  Duration now_{std::int64_t{987'654'321}};
  std::size_t slept_ = 0;
};

// 0.1 to 20 ms a step.
class FakePerformer final : public StepPerformer {
 public:
  FakePerformer(FakeClock& clock, std::uint64_t seed)
      : clock_(clock), random_(RandomStreams(seed).stream("fake steps")) {}
  void perform(const StepPlan&) override {
    begins.push_back(clock_.now());
    clock_.pass(Duration{
        boost::random::uniform_int_distribution<std::int64_t>(100'000, 20'000'000)(random_)});
  }

  std::vector<Duration> begins;  // of the steps, on the clock

 private:
  FakeClock& clock_;
  RandomEngine random_;
};

// A run and all that it writes of its steps.
struct LoggedRun {
  RunResult result;
  std::string steps, decisions;
};

inline LoggedRun play_logged(const Trace& trace, const WorkloadConfig& config,
                             const ToyEngine& settings, const CostModel& cost,
                             HostRules host = {}) {
  Replica replica(settings.make());
  LoggedRun run;
  RunLog log(
      replica, [&](std::string_view text) { run.steps += text; },
      [&](std::string_view text) { run.decisions += text; });
  host.step_timed = [&](SimTime begin, std::span<const StepPlan* const> ranks,
                        const StepTime& time) { log.step_timed(begin, ranks, time); };
  run.result = play_on(replica, trace, config, cost, 1, host);
  return run;
}

}  // namespace v4cap::exec
