// How much a layout's memory holds under an SWA policy: averages per token, and whole sequences
// that fit. The layout says what blocks, points and running sequences take, the policy where points
// are kept; no traffic, no sharing of prefixes, no time.
#pragma once

#include <array>
#include <cstdint>

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/core/units.h"

namespace v4cap {

class Capacity {
 public:
  // Both must outlive this. `block`: tokens per cached block.
  Capacity(const Layout& layout, const SwaPolicy& policy, Tokens block);

  // State that `length` tokens leave behind for reuse: full blocks and the policy's points.
  KindBytes cached(Tokens length) const;
  // State of a running sequence beside its blocks and points.
  KindBytes running() const;
  // One kept point, at a position where both compressors have whole blocks.
  KindBytes point() const;

  // Bytes that each cached token takes on average in a long sequence, points included.
  std::array<double, kCacheKinds> bytes_per_token_by_kind() const { return per_token_; }
  double bytes_per_token() const;

  // Cached tokens that fit when nothing runs.
  Tokens tokens() const;
  // Sequences of `length` >= 1 tokens that fit: running all at once, or only kept for reuse.
  std::int64_t running_sequences(Tokens length) const;
  std::int64_t cached_sequences(Tokens length) const;

 private:
  std::int64_t copies_that_fit(const KindBytes& one) const;

  const Layout& layout_;
  const SwaPolicy& policy_;
  Tokens block_;
  std::array<double, kCacheKinds> per_token_{};
};

}  // namespace v4cap
