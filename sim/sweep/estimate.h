// How long a sweep will take and how much memory, from a sample of its points: each is run for up
// to half a second and extended by the share of its requests that ended by then. That share is not
// the share of the time where a run gets slower or faster, so the figure is an estimate, and says
// so.
//
// Memory: a thread needs at most what the largest of the sample needed beside the program (its
// trace included), and every thread may run such a point at the same time.
#pragma once

#include <chrono>
#include <cstddef>

#include "sim/core/units.h"
#include "sim/sweep/plan.h"

namespace v4cap {

struct SweepEstimate {
  std::size_t sampled = 0, infeasible = 0;  // points
  double point_s = 0;                       // mean time of a point on one thread
  double wall_s = 0;                        // of all points, on the threads of the options
  Bytes memory;                             // of the process
};

// `points`: those that would run. Throws InputError as running them would, Interrupted never.
SweepEstimate estimate_sweep(const SweepPlan& plan, const std::vector<std::size_t>& points,
                             const PointOptions& options);

}  // namespace v4cap
