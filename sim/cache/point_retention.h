// What a policy and a layout make of points: when they leave, and what they take.
#pragma once

#include "sim/cache/layout.h"
#include "sim/cache/prefix_index.h"
#include "sim/cache/swa_policy.h"

namespace v4cap {

// They may where the policy or the layout gives windows a pool of their own, and where the policy
// bounds what points take.
inline PointRetention point_retention(const SwaPolicy& policy, const Layout& layout) {
  const bool own = policy.window_pool_ratio().has_value() || policy.retention().has_value() ||
                   separates_windows(layout);
  return own ? PointRetention::own : PointRetention::with_block;
}

// Where hits end at the last window and the engine keeps no entries behind it.
inline DeadEnds dead_ends(const SwaPolicy& policy, const Layout& layout) {
  return policy.window_pool_ratio() && policy.hits_end_at_points() && layout.drops_dead_ends()
             ? DeadEnds::drop
             : DeadEnds::stay;
}

// What a point at a block end takes: the windows of its block where those have a pool of their own,
// else a copy of the last window and the compressor rows.
inline KindBytes point_bytes(const SwaPolicy& policy, const Layout& layout, Tokens block,
                             Tokens position) {
  const std::int64_t end = position / block;
  return policy.window_pool_ratio() ? layout.windows(end - 1, end) : layout.point(position);
}

}  // namespace v4cap
