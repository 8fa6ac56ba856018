// A run of decode steps whose times are asked for one by one: for cost models without a shorter way.
#pragma once

#include <memory>
#include <span>

#include "sim/cost/cost_model.h"

namespace v4cap {

std::unique_ptr<DecodeRun> plain_decode_run(const CostModel& model,
                                            std::span<const StepPlan* const> ranks);

}  // namespace v4cap
