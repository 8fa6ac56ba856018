// The KV cache and the tiers below it: what is copied down, what a waiting sequence finds there and
// has loaded.
#include <algorithm>
#include <utility>

#include "sim/cache/kv_cache.h"

namespace v4cap {

void KvCache::attach(std::unique_ptr<TierStack> tiers) {
  V4CAP_CHECK(running_ == 0 && in_use() == KindBytes{} && index_.cached() == KindBytes{},
              "a cache gets tiers only after it was used");
  V4CAP_CHECK(observer_ == nullptr, "an observed cache gets tiers");
  tiers_ = std::move(tiers);
  tokens_below_.resize(tiers_->size());
  points_below_.resize(tiers_->size());
  index_.on_leave([this](const StoredObject& object) {
    if (copies_down_) tiers_->left(object);
  });
}

Tier::Measure KvCache::stored() const {
  return [this](StoredKind kind, std::int64_t block) {
    return kind == StoredKind::block ? blocks_charge(block, block + 1)
                                     : point_bytes(block_ * (block + 1));
  };
}

// Blocks [begin, end) of the sequence have come to GPU memory or were used there. The end of a
// prefix becomes the oldest, so that it goes first from a tier.
void KvCache::use_blocks(const CachedSequence& sequence, std::int64_t begin, std::int64_t end) {
  if (!copies_down_) return;
  block_keys(sequence.keys, end, keys_);
  for (std::int64_t block = end - 1; block >= begin; --block) {
    tiers_->used({StoredKind::block, keys_[static_cast<std::size_t>(block)], block});
  }
}

void KvCache::use_point(const CachedSequence& sequence, Tokens position) {
  if (!copies_down_) return;
  const std::int64_t block = position / block_ - 1;
  tiers_->used({StoredKind::point, key_of_block(sequence.keys, block), block});
}

// A hit: the blocks that were found, and the point that is gone on from.
void KvCache::use_path(const CachedSequence& sequence, const Lookup& lookup) {
  use_blocks(sequence, 0, lookup.match.blocks);
  if (window_ || lookup.resume.position == Tokens{0} || lookup.resume.rebuild > Tokens{0}) return;
  for (std::int64_t n = policy_->points_a_hit() - 1; n >= 0; --n) {
    const Tokens position = lookup.resume.position - block_ * n;
    if (position <= Tokens{0}) continue;
    const PointId point = index_.find_point(sequence.cursor, position);
    if (point != kNoPointId && index_.point(point).kept) use_point(sequence, position);
  }
}

// The last position that has a point, on the GPU or in a tier, as the last of as many consecutive
// blocks as a hit needs; 0 when there is none. Keys of all `blocks` are expanded.
Tokens KvCache::last_point_anywhere(const Lookup& gpu, std::int64_t blocks) {
  const std::int64_t wanted = policy_->points_a_hit();
  const Tokens on_gpu = index_.last_point(gpu.match, gpu.cached, wanted);
  std::int64_t in_a_row = 0;
  for (std::int64_t block = blocks; block_ * block > on_gpu; --block) {
    if (!has_point(gpu, block)) {
      in_a_row = 0;
    } else if (++in_a_row == wanted || block == 1) {
      return block_ * (block + in_a_row - 1);
    }
  }
  // The run may reach into what the GPU has by itself.
  std::int64_t block = on_gpu / block_;
  const std::int64_t top = block + in_a_row;
  while (in_a_row > 0 && in_a_row < wanted && block > 0 && has_point(gpu, block)) {
    ++in_a_row;
    --block;
  }
  const bool complete = in_a_row == wanted || (in_a_row > 0 && block == 0);
  return complete ? block_ * top : on_gpu;
}

// Whether a point ends so many blocks of the sequence.
bool KvCache::has_point(const Lookup& gpu, std::int64_t blocks) {
  if (blocks <= gpu.match.blocks) {
    const PointId point = index_.find_point(gpu.match.node, block_ * blocks);
    if (point != kNoPointId && index_.point(point).kept) return true;
  }
  return tiers_->has(StoredKind::point, keys_[static_cast<std::size_t>(blocks - 1)]);
}

std::optional<BelowGpu> KvCache::look_below(const CachedSequence& sequence, Tokens length) {
  BelowGpu below;
  below.lookup = lookup(sequence, length);
  const std::int64_t limit = std::min((length.value - 1) / block_.value, sequence.indexable);
  block_keys(sequence.keys, limit, keys_);
  const std::int64_t on_gpu = below.lookup.match.blocks;
  std::int64_t blocks = on_gpu;
  std::vector<int> found;
  while (blocks < limit) {
    const auto tier = tiers_->find(StoredKind::block, keys_[static_cast<std::size_t>(blocks)]);
    if (!tier) break;
    found.push_back(*tier);
    ++blocks;
  }
  const Tokens point = window_ ? Tokens{0} : last_point_anywhere(below.lookup, blocks);
  below.resume = policy_->resume(block_ * blocks, point);
  const auto to_run = [&](const Resume& resume) {
    return length - resume.position + resume.rebuild;
  };
  if (to_run(below.resume) >= to_run(below.lookup.resume)) return std::nullopt;

  const std::int64_t end = below.resume.position / block_;
  below.tokens.resize(tiers_->size());
  for (std::int64_t block = on_gpu; block < end; ++block) {
    const int tier = found[static_cast<std::size_t>(block - on_gpu)];
    below.pieces.push_back({{StoredKind::block, keys_[static_cast<std::size_t>(block)], block},
                            tier,
                            layout_->blocks(block, block + 1, false)});
    below.tokens[static_cast<std::size_t>(tier)] += block_;
  }
  if (window_) {
    // Of all the windows that are stored only the last is read.
    KindBytes window;
    window[CacheKind::swa] = layout_->point(below.resume.position)[CacheKind::swa];
    if (!below.pieces.empty()) below.pieces.back().read += window;
    return below;
  }
  if (below.resume.rebuild > Tokens{0}) return below;
  for (std::int64_t n = policy_->points_a_hit() - 1; n >= 0; --n) {
    const Tokens position = below.resume.position - block_ * n;
    if (position <= Tokens{0}) continue;
    const std::int64_t block = position / block_ - 1;
    const PointId on_path =
        block < on_gpu ? index_.find_point(below.lookup.match.node, position) : kNoPointId;
    if (on_path != kNoPointId && index_.point(on_path).kept) continue;
    const std::int64_t key = keys_[static_cast<std::size_t>(block)];
    const auto tier = tiers_->find(StoredKind::point, key);
    if (!tier) continue;  // policies that need no point
    const StoredObject stored{StoredKind::point, key, block};
    below.pieces.push_back(
        {stored, *tier, tiers_->tier(static_cast<std::size_t>(*tier)).bytes_of(stored)});
    below.points.push_back(position);
  }
  return below;
}

bool KvCache::begin_load(CachedSequence& sequence, const BelowGpu& below, bool first, int& orders) {
  V4CAP_CHECK(!sequence.running && !sequence.pinned, "a sequence is loaded that is here");
  const std::int64_t begin = below.lookup.match.blocks;
  const std::int64_t end = std::max(begin, below.resume.position / block_);
  const KindBytes blocks = blocks_charge(begin, end);
  KindBytes points;
  for (const Tokens position : below.points) points += point_bytes(position);
  // Asked before anything changes.
  if ((reserved_ + points).total().value > point_limit_) return false;
  if (!fits_beside(index_.unlocked_on_path(below.lookup.match), blocks + points)) return false;

  sequence.cursor = index_.lock(below.lookup.match);
  // What is read is held before room is made, which may push other things down into its tier.
  orders = tiers_->load(sequence.tag, below.pieces);
  bool room = make_room(blocks);
  V4CAP_CHECK(room, "room that was counted is not there");
  own_ += blocks;
  for (const Tokens position : below.points) {
    const KindBytes bytes = point_bytes(position);
    room = make_room_for_point(bytes);
    V4CAP_CHECK(room, "room for a point that was counted is not there");
    own_ += bytes;
    reserved_ += bytes;
    sequence.own_points.push_back({position, bytes, PointReason::interval});
  }
  sequence.shared = begin;
  sequence.own = end - begin;
  sequence.running = true;
  ++running_;
  if (!first) return true;
  sequence.tokens_below = below.tokens;
  sequence.points_below.assign(below.tokens.size(), 0);
  for (const LoadPiece& piece : below.pieces) {
    sequence.points_below[static_cast<std::size_t>(piece.tier)] +=
        piece.object.kind == StoredKind::point ? 1 : 0;
  }
  return true;
}

void KvCache::finish_load(CachedSequence& sequence) {
  for (std::size_t tier = 0; tier < sequence.tokens_below.size(); ++tier) {
    tokens_below_[tier] += sequence.tokens_below[tier];
    points_below_[tier] += sequence.points_below[tier];
  }
  sequence.tokens_below.clear();
  const std::int64_t begin = sequence.shared, end = begin + sequence.own;
  if (end > begin) {
    const auto appended = index_.append(sequence.cursor, sequence.keys, begin, end);
    own_ -= blocks_charge(begin, end);
    loaded_ += blocks_charge(begin + appended.adopted, end);
    use_blocks(sequence, begin + appended.adopted, end);
    sequence.cursor = appended.cursor;
    sequence.shared = end;
    sequence.own = 0;
  }
  for (const OwnPoint& point : sequence.own_points) {
    uncharge(point);
    if (index_.add_point(sequence.cursor, point.position, point.bytes, point.reason) == kNoPointId)
      continue;
    loaded_ += point.bytes;
    use_point(sequence, point.position);
  }
  sequence.own_points.clear();
  sequence.running = false;
  sequence.pinned = true;
  --running_;
}

void KvCache::drop_load(CachedSequence& sequence) {
  own_ -= blocks_charge(sequence.shared, sequence.shared + sequence.own);
  for (const OwnPoint& point : sequence.own_points) uncharge(point);
  sequence.own_points.clear();
  sequence.tokens_below.clear();
  sequence.own = 0;
  sequence.running = false;
  sequence.pinned = true;
  --running_;
}

void KvCache::unpin(CachedSequence& sequence) {
  if (!sequence.pinned) return;
  index_.release(sequence.cursor);
  sequence.cursor = kRootNode;
  sequence.shared = 0;
  sequence.pinned = false;
}

}  // namespace v4cap
