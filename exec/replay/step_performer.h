// What performs the steps that an engine plans: a GPU, or in tests something that takes its time.
#pragma once

#include "sim/engine/step_plan.h"

namespace v4cap::exec {

class StepPerformer {
 public:
  virtual ~StepPerformer() = default;
  // Returns when the step has been performed, so that its tokens could be read. Throws RunError
  // when that cannot be.
  virtual void perform(const StepPlan& plan) = 0;
};

}  // namespace v4cap::exec
