// How long a plan will take, from a few of its runs: each is begun at the middle of the range of
// loads and extended by the share that ended within half a second, as sim/sweep/estimate.h does for
// points. How many runs there are depends on what is held, so that both figures are estimates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/plan/plan_file.h"

namespace v4cap {

struct PlanEstimate {
  std::size_t sampled = 0;  // runs that were begun
  std::int64_t runs = 0;    // of the search
  double run_s = 0;         // mean time of one on a thread
  double wall_s = 0;        // of all, on the threads of the options
};

// `plans`: how many are crossed (cross_plan.h); 1 = none. Throws InputError as running them would.
PlanEstimate estimate_plan(const PlanFile& file, const SweepPlan& plan, const PointOptions& options,
                           std::size_t plans);

}  // namespace v4cap
