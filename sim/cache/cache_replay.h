// The cache alone: requests of a trace one after the other, without time. Each finds what it finds,
// leaves everything it computed, and memory is made afterwards, so that nothing is ever in the way
// of a request. What a planner looks at first: hit rate against memory, before any simulation.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/cache/block_keys.h"
#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "traces/trace.h"

namespace v4cap {

struct CacheTotals {
  Tokens prompt, hit, rebuilt;  // rebuilt: layer-tokens / layers
  std::int64_t hits = 0;        // requests that found anything
  KindBytes written;            // blocks and points kept
  KindBytes read;               // state that hits took: compressed entries up to R and the window
  KindBytes evicted;
  std::int64_t points = 0;  // kept at the end
  bool operator==(const CacheTotals&) const = default;

  Tokens net_saved() const { return hit - rebuilt; }
  double hit_rate() const {
    return prompt.value == 0 ? 0
                             : static_cast<double>(hit.value) / static_cast<double>(prompt.value);
  }
};

struct ReplayOptions {
  Tokens block;                  // the trace's own, or one that nests with it
  bool reuse_generated = false;  // generated tokens stay cached
};

// The layout's pools bound what is kept after each request. A trace's partial last blocks count as
// blocks where the block is the trace's own. A hit never covers the last prompt token.
CacheTotals replay_cache(const Trace& trace, const Layout& layout, const SwaPolicy& policy,
                         const ReplayOptions& options);

// Adds one request's hit to the totals, with what it reads of the cache.
void count_hit(const Layout& layout, const SwaPolicy& policy, Tokens block,
               const TraceRequest& wanted, const Resume& resume, CacheTotals& totals);

// Keys of a request's blocks in order, and how many of them are its prompt's. The block must nest
// with the trace's; a partial last block that the trace names is one more block of the prompt.
struct ReplayKeys {
  std::vector<KeyRun> keys;
  std::int64_t prompt_blocks = 0;  // with the partial one
  std::int64_t full_blocks = 0;    // of the prompt
  std::int64_t blocks = 0;         // with generated ones
};
void replay_keys(const Trace& trace, std::uint32_t request, const ReplayOptions& options,
                 std::vector<IdRun>& scratch, ReplayKeys& out);

}  // namespace v4cap
