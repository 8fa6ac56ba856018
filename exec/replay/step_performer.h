// What performs the steps that an engine plans: a GPU, or in tests something that takes its time.
#pragma once

#include "exec/driver/gpu_watch.h"
#include "exec/replay/step_board.h"
#include "sim/engine/step_plan.h"

namespace v4cap::exec {

class StepPerformer {
 public:
  virtual ~StepPerformer() = default;
  // Returns when the step has been performed, so that its tokens could be read. Throws RunError
  // when that cannot be.
  virtual void perform(const StepPlan& plan) = 0;
};

// Another one, whose steps a GpuWatch knows of.
class WatchedPerformer final : public StepPerformer {
 public:
  WatchedPerformer(StepPerformer& performer, GpuWatch& watch)
      : performer_(performer), watch_(watch) {}
  void perform(const StepPlan& plan) override {
    watch_.step_begins();
    performer_.perform(plan);
    watch_.step_ends();
  }

 private:
  StepPerformer& performer_;
  GpuWatch& watch_;
};

// Another one, on rank 0 of several: the others learn of its steps.
class AnnouncedPerformer final : public StepPerformer {
 public:
  AnnouncedPerformer(StepPerformer& performer, StepBoard& board)
      : performer_(performer), board_(board) {}
  void perform(const StepPlan& plan) override {
    board_.begins();
    performer_.perform(plan);
  }

 private:
  StepPerformer& performer_;
  StepBoard& board_;
};

}  // namespace v4cap::exec
