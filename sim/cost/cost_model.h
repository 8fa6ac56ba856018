// How long a step takes. A cost model sees a step plan and nothing else, so that a measured
// profile, a roofline and a replayed log are interchangeable.
#pragma once

#include "sim/core/time.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

// Where the time of a step comes from. The parts sum to the step's time.
struct TimeShare {
  double measured_s = 0, interpolated_s = 0, transferred_s = 0, roofline_s = 0;
};

struct StepTime {
  Duration total{};
  Duration roofline_floor{};  // the same operators at datasheet peaks, no fixed costs: total is
                              // never below
  TimeShare share;
};

class CostModel {
 public:
  virtual ~CostModel() = default;
  // `plan` is not empty. Deterministic: equal plans take equal time.
  virtual StepTime step_time(const StepPlan& plan) const = 0;
};

}  // namespace v4cap
