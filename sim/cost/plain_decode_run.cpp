#include "sim/cost/plain_decode_run.h"

#include <vector>

namespace v4cap {

namespace {

class PlainDecodeRun final : public DecodeRun {
 public:
  PlainDecodeRun(const CostModel& model, std::span<const StepPlan* const> ranks) : model_(model) {
    for (const StepPlan* plan : ranks) plans_.push_back(*plan);
    for (const StepPlan& plan : plans_) ranks_.push_back(&plan);
  }
  StepTime next() override {
    const StepTime time = model_.step_time(ranks_);
    for (StepPlan& plan : plans_) {
      for (StepPiece& piece : plan.pieces) piece.past += Tokens{1};
    }
    return time;
  }

 private:
  const CostModel& model_;
  std::vector<StepPlan> plans_;
  std::vector<const StepPlan*> ranks_;
};

}  // namespace

std::unique_ptr<DecodeRun> plain_decode_run(const CostModel& model,
                                            std::span<const StepPlan* const> ranks) {
  return std::make_unique<PlainDecodeRun>(model, ranks);
}

}  // namespace v4cap
