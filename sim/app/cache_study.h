// What `v4cap cache` finds out: what each policy hits at each memory, without time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/cache/cache_replay.h"
#include "sim/cache/hindsight.h"
#include "sim/config/scenario.h"

namespace v4cap {

// One policy at one memory.
struct CachePoint {
  CacheTotals totals;
  bool one_pass = false;  // from the curve of all memories, else replayed at this one
};

struct CacheRow {
  std::string policy, caveat, fallback;
  bool exact = true;               // outputs as without a cache, and some engine does so
  std::vector<CachePoint> points;  // by memory
};

struct CacheStudy {
  std::string trace;
  std::size_t requests = 0;
  std::string layout;
  Tokens block;
  bool reuse_generated = false;
  std::int64_t sessions_at_a_time = 0;  // that took turns; 0 = the order of the trace
  std::vector<Bytes> memories;          // of one GPU, ascending; kEndlessMemory = all fits
  std::vector<CacheRow> rows;           // by policy
  std::vector<Hindsight> hindsight;     // by memory; empty where it is not known
};

inline constexpr Bytes kEndlessMemory{std::int64_t{1} << 50};

// Runs every policy at every memory. `scenario` says model, layout, block and formats; `policies`
// in the order of the rows. Memories empty: a grid up to what everything compressed takes.
// Throws InputError for what does not go together.
CacheStudy study_cache(const Trace& trace, const Scenario& scenario,
                       const std::vector<std::string>& policies, std::vector<Bytes> memories);

std::string cache_json(const CacheStudy& study);

struct TextStyle;
// `details`: also a table per memory with everything that was counted.
std::string cache_text(const CacheStudy& study, bool details, const TextStyle& style);

}  // namespace v4cap
