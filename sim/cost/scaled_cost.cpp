#include "sim/cost/scaled_cost.h"

#include <algorithm>
#include <string>
#include <utility>

#include "sim/core/error.h"

namespace v4cap {
namespace {

StepTime scaled(StepTime time, double factor) {
  if (factor == 1) return time;
  for (Duration* part : {&time.total, &time.gpu, &time.host}) {
    *part = duration_from_seconds(to_seconds(*part) * factor);
  }
  time.share *= factor;
  time.roofline_floor = std::min(time.roofline_floor, time.total);
  return time;
}

class ScaledRun final : public DecodeRun {
 public:
  ScaledRun(std::unique_ptr<DecodeRun> run, double factor)
      : run_(std::move(run)), factor_(factor) {}
  StepTime next() override { return scaled(run_->next(), factor_); }

 private:
  std::unique_ptr<DecodeRun> run_;
  double factor_;
};

}  // namespace

ScaledCost::ScaledCost(const CostModel& model, double factor) : model_(model), factor_(factor) {
  V4CAP_CHECK(factor > 0, std::to_string(factor));
}

ScaledCost::ScaledCost(std::unique_ptr<CostModel> model, double factor)
    : own_(std::move(model)), model_(*own_), factor_(factor) {
  V4CAP_CHECK(factor > 0, std::to_string(factor));
}

StepTime ScaledCost::step_time(std::span<const StepPlan* const> ranks) const {
  return scaled(model_.step_time(ranks), factor_);
}

StepTime ScaledCost::quick_time(std::span<const StepPlan* const> ranks) const {
  return scaled(model_.quick_time(ranks), factor_);
}

std::unique_ptr<DecodeRun> ScaledCost::decode_run(std::span<const StepPlan* const> ranks) const {
  auto run = model_.decode_run(ranks);
  return run == nullptr ? nullptr : std::make_unique<ScaledRun>(std::move(run), factor_);
}

void ScaledCost::explain(std::span<const StepPlan* const> ranks, CostLedger& ledger) const {
  CostLedger own;
  model_.explain(ranks, own);
  for (const auto& [part, seconds] : own.seconds()) ledger.add(part, factor_ * seconds);
}

}  // namespace v4cap
