// Hit rate against memory for every memory at once, in one pass over a trace.
//
// Where what is kept of a block depends on nothing but its position, the cache is an LRU stack with
// blocks of different sizes, and what a memory of C bytes holds is the top of the stack as far as it
// fits into C (inclusion; Mattson, Gecsei, Slutz and Traiger 1970). A request puts its blocks on
// top, the first one uppermost. What is left of an earlier request is therefore always the rear of
// its path, and a block's distance from the top is the sum of what all later requests left, which a
// Fenwick tree holds, plus its place in that rear: one step per earlier request on a path, not per
// block.
#pragma once

#include <span>
#include <vector>

#include "sim/cache/cache_replay.h"

namespace v4cap {

// What replay_cache() returns with one pool of each of these sizes. The policy must say
// interval_by_position(); the layout's own capacity does not matter.
std::vector<CacheTotals> hit_curve(const Trace& trace, const Layout& layout,
                                   const SwaPolicy& policy, const ReplayOptions& options,
                                   std::span<const Bytes> memories);

}  // namespace v4cap
