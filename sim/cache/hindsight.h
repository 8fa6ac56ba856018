// What a cache could save at best, were the future known: a yardstick for policies.
#pragma once

#include "sim/cache/cache_replay.h"

namespace v4cap {

struct Hindsight {
  // No policy of any kind saves more: Belady's optimum (evict what is used again last) of whole
  // blocks, with windows and partial last blocks that cost nothing. Where blocks differ in bytes
  // all count as the smallest; where they are equal this optimum can be reached.
  Tokens bound;
  // What farthest-next-use keeps when every prefix that will be used again also keeps its point.
  // Sizes differ, so this is an estimate: no optimum, and no bound.
  Tokens estimate;
};

// One memory of `memory` bytes for compressed entries and points; the layout says what they take.
// Generated tokens are not kept. The trace must carry ids.
Hindsight hindsight(const Trace& trace, const Layout& layout, Tokens block, Bytes memory);

}  // namespace v4cap
