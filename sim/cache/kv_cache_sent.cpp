// The KV cache and other engines: what a sequence that goes on elsewhere is sent.
#include "sim/cache/kv_cache.h"

namespace v4cap {

KindBytes KvCache::state_to_send(std::int64_t had, Tokens length) const {
  const std::int64_t blocks = (length.value + block_.value - 1) / block_.value;
  return layout_->blocks(had, blocks, false) + layout_->point(length);
}

void KvCache::received(CachedSequence& sequence, Tokens length) {
  const std::int64_t full = std::min(length / block_, sequence.indexable);
  if (full <= sequence.shared) return;
  const auto appended = index_.append(sequence.cursor, sequence.keys, sequence.shared, full);
  own_ -= blocks_charge(sequence.shared, full);
  received_ += blocks_charge(sequence.shared + appended.adopted, full);
  if (tiers_ != nullptr) use_blocks(sequence, sequence.shared + appended.adopted, full);
  sequence.cursor = appended.cursor;
  sequence.own -= full - sequence.shared;
  sequence.shared = full;
}

}  // namespace v4cap
