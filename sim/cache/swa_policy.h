// What happens to sliding-window state when a sequence's prefix is cached. Compressed entries alone
// do not let a sequence go on: the last window of every layer and the compressors' rows are needed
// too. A policy says where both are kept (points) and what a hit costs where they are not. One file
// per policy, registered by name; "name=argument" selects one, e.g. "checkpoint=2048".
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "sim/cache/prefix_index.h"
#include "sim/core/registry.h"
#include "sim/core/units.h"
#include "sim/model/cache_geometry.h"

namespace v4cap {

// Where computing resumes after a prefix hit. 0 <= position <= cached.
struct Resume {
  Tokens position;  // R: the first token that is computed
  Tokens rebuild;   // layer-tokens / layers run again before R, for window and rows only
};

// No further point is wanted.
inline constexpr Tokens kNoPoint{std::numeric_limits<std::int64_t>::max()};

// What an engine knows of a sequence when it decides which points to keep of it. Positions are
// block boundaries.
struct PointContext {
  Tokens prompt_end;  // end of the prompt's last block
  Tokens cached;      // P: how much of the prompt was cached when it was admitted
};

class PointScores;

class SwaPolicy {
 public:
  virtual ~SwaPolicy() = default;
  // As given, e.g. "checkpoint=2048".
  virtual std::string name() const = 0;
  // What is computed again when nothing is kept where it is needed, in words.
  virtual std::string fallback() const = 0;
  // What a reader must know before believing a result (no engine ships it, approximate), or "".
  virtual std::string caveat() const { return {}; }

  // True: window entries of every cached token are stored with its block, so any block boundary
  // resumes.
  virtual bool stores_window_of_every_token() const { return false; }
  // Set: the windows of every block are stored in a pool of their own that holds this share of the
  // tokens of the main pool, and leave it by themselves.
  virtual std::optional<double> window_pool_ratio() const { return {}; }
  // Consecutive blocks that must have a point for a hit to resume at the last of them.
  virtual std::int64_t points_a_hit() const { return 1; }
  // Cached entries behind the last kept point serve no hit.
  virtual bool hits_end_at_points() const { return false; }
  // First position after `position` at which a point is to be kept while a prompt is computed, or
  // kNoPoint. Multiple of the block.
  virtual Tokens next_point(Tokens position, const PointContext& context) const = 0;
  // Why a point is kept at a position that next_point() gave.
  virtual PointReason reason(Tokens, const PointContext&) const { return PointReason::interval; }
  // A point is also kept where a sequence's output ends.
  virtual bool keeps_output_end() const { return false; }
  // Where a trace names a prompt's partial last block, its end counts as an end too.
  virtual bool keeps_partial_blocks() const { return keeps_output_end(); }
  // `cached`: length of the cached prefix, a multiple of the block unless a trace names a partial
  // last one. `last_point`: the last kept point not after it, 0 when there is none.
  virtual Resume resume(Tokens cached, Tokens last_point) const = 0;

  // Set: what is kept of a block depends on nothing but its position, so that more memory always
  // keeps more. A point every so many tokens, 0: none.
  virtual std::optional<Tokens> interval_by_position() const { return {}; }
  // A policy that decides by itself what goes when memory is short: the scores to decide by, new
  // for one cache. Null: least recently used first.
  virtual std::unique_ptr<PointScores> make_scores() const;
  // Most that kept points may take, as a share of the windows of all cached tokens (retention).
  virtual std::optional<double> retention() const { return {}; }
};

struct PolicyContext {
  std::string name;      // as given
  std::string argument;  // after '=', "" when there is none
  const CacheGeometry& geometry;
  Tokens block;
  std::optional<Tokens> recompute_threshold;  // scenario's kv_cache.recompute_threshold_tokens
  Tokens rebuild_page{1};                     // scenario's kv_cache.rebuild_page_tokens
};

using PolicyRegistry = Registry<std::unique_ptr<SwaPolicy> (*)(const PolicyContext&)>;

// Throws InputError (without a place) for an unknown name or an argument that does not fit: the
// caller knows where the text came from.
std::unique_ptr<SwaPolicy> make_policy(const std::string& text, const CacheGeometry& geometry,
                                       Tokens block, std::optional<Tokens> recompute_threshold,
                                       Tokens rebuild_page = Tokens{1});

}  // namespace v4cap
