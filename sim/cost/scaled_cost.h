// A cost model whose steps all take so many times as long as another says: what a run would be if
// that model were wrong by as much everywhere.
#pragma once

#include <memory>
#include <span>

#include "sim/cost/cost_model.h"

namespace v4cap {

class ScaledCost final : public CostModel {
 public:
  // `factor` is above 0. `model` must outlive this.
  ScaledCost(const CostModel& model, double factor);
  ScaledCost(std::unique_ptr<CostModel> model, double factor);

  using CostModel::step_time;
  // Rounded to whole nanoseconds. The floor is left as it is, but for steps that get below it.
  StepTime step_time(std::span<const StepPlan* const> ranks) const override;
  StepTime quick_time(std::span<const StepPlan* const> ranks) const override;
  std::unique_ptr<DecodeRun> decode_run(std::span<const StepPlan* const> ranks) const override;
  void explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const override;

 private:
  std::unique_ptr<CostModel> own_;  // null: somebody else's
  const CostModel& model_;
  double factor_;
};

}  // namespace v4cap
