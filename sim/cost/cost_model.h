// How long a step takes. A cost model sees a step plan and nothing else, so that a measured
// profile, a roofline and a replayed log are interchangeable.
#pragma once

#include <span>

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
  // One step of attention ranks that run in lockstep: `ranks[i]` is the plan of rank i, empty where
  // that rank has nothing to do. At least one is not empty. Deterministic: equal plans take equal
  // time.
  virtual StepTime step_time(std::span<const StepPlan* const> ranks) const = 0;
  // The step of an engine with one rank.
  StepTime step_time(const StepPlan& plan) const {
    const StepPlan* const only = &plan;
    return step_time(std::span(&only, 1));
  }
};

}  // namespace v4cap
