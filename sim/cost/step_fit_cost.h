// The time of a step by coefficients that were fitted to an engine's own log of steps: a profile
// with a family of grain `step` (sim/cost/step_fit.h, `v4cap fit STEPS.jsonl`).
//
//   rank   the sum of its features times their coefficients; the slowest rank counts. A log of
//          several attention ranks is of one of them, waits for the others included.
//   rest   what the log has no steps of takes what the roofline says that it adds to the others:
//          rebuilds, copies of kept points, prefill or decode where the log had none. A step with
//          nothing else takes what the roofline says of it.
//
// A log's times are those between two steps: the host is in them, and is not counted beside them. With
// a host that launches steps ahead (HostCost::overlapped) all of a step is taken to be the GPU's: where
// the log's steps waited for the host, the simulated engine plans the next ones earlier than it did.
// Time within the sizes of the log's steps is counted as interpolated, beyond any of them as
// extrapolated. Drafts are what the engine of the log had, whatever the scenario's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/cost/cost_model.h"
#include "sim/cost/operators.h"
#include "sim/cost/profile.h"
#include "sim/cost/roofline.h"
#include "sim/cost/step_fit.h"
#include "sim/model/hardware.h"

namespace v4cap {

class StepFitCost final : public CostModel {
 public:
  // All arguments are copied. `steps`: a family of grain step.
  StepFitCost(const StepSetting& setting, const HardwareSpec& hardware, const ProfileFamily& steps);

  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override;

  // By feature of the slowest rank, and what the roofline adds in one part.
  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

  // What the log had no step of: "prefill", "decode".
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  class Decodes;
  struct RankTime;

  bool covers(const StepPiece& piece) const;
  RankTime rank_time(const StepPlan& plan) const;
  double roofline_us(std::span<const StepPlan* const> ranks) const;
  StepTime time_of(std::span<const StepPlan* const> ranks, CostLedger* ledger) const;

  RooflineCost roofline_;
  bool drafts_ = false;  // a step has passes of a draft layer
  ExpertShape shape_;
  StepValues coefficients_{};
  StepSizes largest_{};
  bool decodes_ = false, prefills_ = false;  // the log had steps that do
  std::vector<std::string> missing_;
};

}  // namespace v4cap
