// Whether points may leave before their blocks.
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

}  // namespace v4cap
