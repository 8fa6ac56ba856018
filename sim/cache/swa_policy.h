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

#include "sim/core/registry.h"
#include "sim/core/units.h"
#include "sim/model/cache_geometry.h"

namespace v4cap {

// Where computing resumes after a prefix hit. 0 <= rebuild <= position <= cached.
struct Resume {
  Tokens position;  // R: the first token that is computed
  Tokens rebuild;   // tokens before R to run again through all layers, for window and rows only
};

// No further point is wanted.
inline constexpr Tokens kNoPoint{std::numeric_limits<std::int64_t>::max()};

class SwaPolicy {
 public:
  virtual ~SwaPolicy() = default;
  // As given, e.g. "checkpoint=2048".
  virtual std::string name() const = 0;
  // True: window entries of every cached token are stored with its block, so any block boundary
  // resumes.
  virtual bool stores_window_of_every_token() const = 0;
  // First position after `position` at which a point is to be kept, or kNoPoint. Multiple of the
  // block.
  virtual Tokens next_point(Tokens position) const = 0;
  // `cached`: length of the cached prefix, a multiple of the block. `last_point`: the last kept
  // point not after it, 0 when there is none.
  virtual Resume resume(Tokens cached, Tokens last_point) const = 0;
};

struct PolicyContext {
  std::string name;      // as given
  std::string argument;  // after '=', "" when there is none
  const CacheGeometry& geometry;
  Tokens block;
  std::optional<Tokens> recompute_threshold;  // scenario's kv_cache.recompute_threshold_tokens
};

using PolicyRegistry = Registry<std::unique_ptr<SwaPolicy> (*)(const PolicyContext&)>;

// Throws InputError (without a place) for an unknown name or an argument that does not fit: the
// caller knows where the text came from.
std::unique_ptr<SwaPolicy> make_policy(const std::string& text, const CacheGeometry& geometry,
                                       Tokens block, std::optional<Tokens> recompute_threshold);

}  // namespace v4cap
