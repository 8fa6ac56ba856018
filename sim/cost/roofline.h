// A roofline as cost model: every launch of an operator takes a fixed cost plus the longer of
// moving its bytes and doing its arithmetic, at the fractions of the datasheet peaks that the
// hardware file states; operators follow one another, and a step adds a fixed cost on the host. Of
// attention ranks in lockstep the slowest one's own operators count, then the joint ones follow.
// Nothing of it was measured, so all of the time is counted as roofline share.
#pragma once

#include <string_view>
#include <vector>

#include "sim/cost/cost_model.h"
#include "sim/cost/operators.h"
#include "sim/model/hardware.h"

namespace v4cap {

enum class Bound : std::uint8_t { memory, compute, link, fixed };

// "memory", "compute", "link", "fixed": what takes most of an operator's time.
std::string_view name_of(Bound bound);

// All launches of one operator in a step.
struct OperatorTime {
  std::string_view name;
  std::int64_t count = 0;
  double flops = 0, bytes = 0, link_bytes = 0;  // of all launches, one GPU; times Operator::share
  double seconds = 0;
  double floor_seconds = 0;  // at datasheet peaks, without fixed cost
  Bound bound{};
};

class RooflineCost final : public CostModel {
 public:
  RooflineCost(const StepSetting& setting, const HardwareSpec& hardware);

  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override;

  // The same step by operator, those of the slowest rank in layer order, then the joint ones; a
  // last line "host" holds the fixed cost of the step. Seconds sum to step_time().total.
  std::vector<OperatorTime> breakdown(std::span<const StepPlan* const> ranks) const;
  std::vector<OperatorTime> breakdown(const StepPlan& plan) const {
    const StepPlan* const only = &plan;
    return breakdown(std::span(&only, 1));
  }

  const StepOperators& operators() const { return operators_; }
  // What the ranks of a step do: each one's own operators, and those that all do together, of which
  // a single rank has none: its experts stand in the order of a layer.
  OperatorList own_list(const StepPlan& plan) const;
  OperatorList joint_list(std::span<const StepPlan* const> ranks) const;
  // Adds the seconds of a list at datasheet peaks, without fixed costs.
  double floor_seconds(const OperatorList& list, double seconds = 0) const;
  // Seconds of one launch, its fixed cost included.
  double launch_seconds(const Operator& op) const {
    return fixed_seconds(op) + launch_time(op, reached_).longest();
  }

  // The same at datasheet peaks, without fixed costs.
  double peak_seconds(const kernels::Work& work) const {
    Operator op;
    op.work = work;
    return launch_time(op, peak_).longest();
  }

  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

 private:
  // Seconds per byte and per FLOP, so that the hot path multiplies.
  struct Rates {
    double s_per_byte = 0, s_per_link_byte = 0;
    double s_per_flop_bf16 = 0, s_per_flop_fp8 = 0, s_per_flop_fp4 = 0;
  };
  // Seconds of one launch by what it waits for.
  struct LaunchTime {
    double memory = 0, compute = 0, link = 0;
    double longest() const;
  };

  // Seconds of a list, with what the hardware reaches and at datasheet peaks.
  struct ListTime {
    double reached = 0, peak = 0;
  };

  // The rank that takes longest. Its time has the fixed cost of the step; its peak is the highest of
  // all ranks.
  struct Slowest {
    const StepPlan* plan = nullptr;
    ListTime time;
  };

  static Rates rates_of(const HardwareSpec& hardware, const RooflineEfficiency& efficiency);
  static LaunchTime launch_time(const Operator& op, const Rates& rates);
  double fixed_seconds(const Operator& op) const;
  ListTime time_of(const OperatorList& list, ListTime time) const;  // added to `time`
  Slowest slowest(std::span<const StepPlan* const> ranks) const;

  StepOperators operators_;
  Rates reached_, peak_;
  double fixed_per_operator_s_ = 0, fixed_per_step_s_ = 0, link_latency_s_ = 0;
};

}  // namespace v4cap
