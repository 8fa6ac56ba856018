// The times of steps that were performed before, in their order. With them a run makes the same
// decisions as the one that they come from: each plan must equal the recorded one, else the run
// ends.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "sim/core/time.h"
#include "sim/cost/cost_model.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

// A step that was performed.
struct RecordedStep {
  std::int64_t index = 0;  // from 0
  SimTime begin{};
  Duration time{};
  StepPlan plan{};
};

// Gives the recorded steps one after the other, null at their end; valid until the next call.
using RecordedSteps = std::function<const RecordedStep*()>;

class RecordedCost final : public CostModel {
 public:
  explicit RecordedCost(RecordedSteps steps) : steps_(std::move(steps)) {}

  using CostModel::step_time;
  // Of an engine with one rank. All of the time is `measured`. Throws RunError with the step and
  // its first difference where the plan is not the recorded one, or nothing is recorded any more.
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  // Of the step that was timed last.
  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

  // The run is over: throws RunError when steps are recorded that it did not make.
  void check_finished() const;

 private:
  RecordedSteps steps_;
  // Being asked is what moves it on; nothing else of it changes.
  mutable std::int64_t timed_ = 0;
  mutable Duration last_{};
};

// "decode of slot 7, 1 token after 4096", for messages.
std::string in_words(const StepPiece& piece);

}  // namespace v4cap
