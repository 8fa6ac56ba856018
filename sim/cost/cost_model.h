// How long a step takes. A cost model sees a step plan and nothing else, so that a measured
// profile, a roofline and a replayed log are interchangeable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "sim/core/time.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

// Where the time of a step comes from. The parts sum to the step's time.
struct TimeShare {
  double measured_s = 0;      // at a sample
  double interpolated_s = 0;  // between samples
  double extrapolated_s = 0;  // outside the shapes that were measured
  double transferred_s = 0;   // from samples of other GPUs
  double roofline_s = 0;      // datasheet peaks and assumed efficiencies
  double host_s = 0;          // the host, where it is what a step waits for

  TimeShare& operator+=(const TimeShare& o) {
    measured_s += o.measured_s;
    interpolated_s += o.interpolated_s;
    extrapolated_s += o.extrapolated_s;
    transferred_s += o.transferred_s;
    roofline_s += o.roofline_s;
    host_s += o.host_s;
    return *this;
  }
  TimeShare& operator*=(double factor) {
    for (double* part :
         {&measured_s, &interpolated_s, &extrapolated_s, &transferred_s, &roofline_s, &host_s}) {
      *part *= factor;
    }
    return *this;
  }
};

// Where one entry of a ledger comes from, in the order of TimeShare.
enum class TimeSource : std::uint8_t {
  measured,
  interpolated,
  extrapolated,
  transferred,
  roofline,
  host
};

// The time of steps by what takes it, for --explain.
class CostLedger {
 public:
  void add(std::string_view part, double seconds) {
    const auto it = seconds_.find(part);
    if (it == seconds_.end()) {
      seconds_.emplace(part, seconds);
    } else {
      it->second += seconds;
    }
  }
  const std::map<std::string, double, std::less<>>& seconds() const { return seconds_; }

 private:
  std::map<std::string, double, std::less<>> seconds_;
};

struct StepTime {
  Duration total{};
  Duration roofline_floor{};  // the same operators at datasheet peaks, no fixed costs: total is
                              // never below
  TimeShare share;
  Duration host{};       // what the host needs to launch the step; the GPU may hide it
  Duration gpu{};        // what the GPU needs for it
  bool clamped = false;  // samples were below the roofline and gave way to it
};

// Times of steps that follow one another and differ only in their contexts, each of which grows by
// a token a step.
class DecodeRun {
 public:
  virtual ~DecodeRun() = default;
  // Of the first step, then of the next: what step_time() says of it, to the last bit.
  // `roofline_floor` may be left at 0 where the time is known to be above it.
  virtual StepTime next() = 0;
};

class CostModel {
 public:
  virtual ~CostModel() = default;
  // One step of attention ranks that run in lockstep: `ranks[i]` is the plan of rank i, empty where
  // that rank has nothing to do. At least one is not empty. A model of times is deterministic:
  // equal plans take equal time. What performs steps, or has them recorded, is asked once for each
  // step of a run, in their order.
  virtual StepTime step_time(std::span<const StepPlan* const> ranks) const = 0;
  // The step of an engine with one rank.
  StepTime step_time(const StepPlan& plan) const {
    const StepPlan* const only = &plan;
    return step_time(std::span(&only, 1));
  }

  // The steps from `ranks` on, which decode one token a sequence and do nothing else. The run must
  // not outlive the model. Null: each step has to be asked for by itself, as of a model that
  // performs them.
  virtual std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const>) const {
    return nullptr;
  }

  // Adds the parts of one step to `ledger`; they sum to step_time().total.
  virtual void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
    ledger.add("step", to_seconds(step_time(ranks).total));
  }

  // What step_time() says, to the last bit, but `roofline_floor`, which may be left at 0 where the
  // time is known to be above it.
  virtual StepTime quick_time(std::span<const StepPlan* const> ranks) const {
    return step_time(ranks);
  }
};

}  // namespace v4cap
