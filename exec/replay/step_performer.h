// What performs the steps that an engine plans: a GPU, or in tests something that takes its time.
#pragma once

#include "exec/driver/gpu_watch.h"
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

}  // namespace v4cap::exec
