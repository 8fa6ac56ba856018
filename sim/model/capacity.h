// How much fits into the KV memory of one GPU when nothing but bytes count: the `ideal` layout,
// without pages, under each way of keeping sliding-window state. Plain formulas; the engine's pools
// and policies live in sim/cache.
//
//   full          compressed entries, and the window entries of every token in every layer
//   checkpoint=K  compressed entries, and a kept point (last window and CSA rows) every K tokens
//   recompute     compressed entries alone
// A running sequence holds, under each policy, its window ring and all compressor rows on top.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/units.h"
#include "sim/model/cache_geometry.h"

namespace v4cap {

enum class Retention : std::uint8_t { full, checkpoint, recompute };

struct RetentionPolicy {
  Retention kind = Retention::full;
  Tokens every;  // checkpoint: tokens between kept points; else 0
};

// "full", "checkpoint=2048", "recompute".
std::string to_string(const RetentionPolicy& policy);

class Capacity {
 public:
  // Checkpoints need `every` >= 1.
  Capacity(const CacheGeometry& geometry, RetentionPolicy policy, Bytes kv_memory);

  // Bytes that each cached token takes on average in a long sequence, by kind.
  std::array<double, kCacheKinds> bytes_per_token_by_kind() const;
  double bytes_per_token() const;
  // Bytes that a running request holds beside its tokens: window ring and compressor rows.
  KindBytes bytes_per_request() const;
  // A resume point at the policy's interval (checkpoint), else at a multiple of 128: window and CSA
  // rows.
  KindBytes point() const;

  // State that `length` tokens leave behind for reuse.
  KindBytes cached(Tokens length) const;
  // Tokens that fit when nothing runs.
  Tokens tokens() const;
  // Sequences of `length` tokens that fit: running, and kept for reuse only. length >= 1.
  std::int64_t running_sequences(Tokens length) const;
  std::int64_t cached_sequences(Tokens length) const;

 private:
  CacheGeometry geometry_;
  RetentionPolicy policy_;
  Bytes kv_memory_;
};

}  // namespace v4cap
