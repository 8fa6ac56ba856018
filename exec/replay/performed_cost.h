// The time of a step is what it takes to perform it. To the simulated world this is a cost model
// like any other, so what it decides depends on workload and measured times alone.
//
// A step's time runs from where the step before it ended, so that planning and bookkeeping between
// them are in it as they are in an engine, to the return of its performing. A step that nothing ran
// before begins with the real instant at which its first request is let in.
//
// Simulated and real time. While steps follow each other both pass alike. At a gap the next arrival
// is waited for until as much real time has passed as simulated; a wait that ends late (the machine
// gave the processor to somebody else, or the gap was shorter than the bookkeeping before it) is in
// no step's time: the arrival is at its simulated instant, what follows moves later in real time,
// and late_ms() says by how much. Without waiting, gaps are skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "exec/replay/replay_clock.h"
#include "exec/replay/step_performer.h"
#include "sim/cost/cost_model.h"

namespace v4cap::exec {

enum class Pace : std::uint8_t {
  real_time,            // arrivals come when they are due
  as_fast_as_possible,  // gaps without work are skipped
};

class PerformedCost final : public CostModel {
 public:
  // `stopped`, asked ten times a second during waits: whether to give the wait up.
  PerformedCost(StepPerformer& performer, ReplayClock& clock, Pace pace,
                std::function<bool()> stopped = {})
      : performer_(performer), clock_(clock), pace_(pace), stopped_(std::move(stopped)) {}

  // For HostRules::idle_until: nothing runs up to `next`. The first call is the start of the run,
  // and waits for nothing. Returns false when the wait was given up.
  bool idle_until(SimTime next);

  using CostModel::step_time;
  // Performs the step of an engine with one rank.
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;

  // By how much each wait ended late, in their order.
  const std::vector<double>& late_ms() const { return late_ms_; }

 private:
  StepPerformer& performer_;
  ReplayClock& clock_;
  Pace pace_;
  std::function<bool()> stopped_;
  bool started_ = false;
  Duration zero_{};           // the real instant of simulated time 0
  mutable Duration begin_{};  // of the next step; performing moves it on
  std::vector<double> late_ms_;
};

// On the other ranks of a run: they perform the steps that rank 0 performs, when it does, and take
// the times that it has measured.
class FollowedCost final : public CostModel {
 public:
  FollowedCost(StepPerformer& performer, StepBoard& board) : performer_(performer), board_(board) {}

  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;

 private:
  StepPerformer& performer_;
  StepBoard& board_;
};

}  // namespace v4cap::exec
