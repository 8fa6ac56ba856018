#include "sim/cache/kv_cache.h"

#include <algorithm>
#include <utility>

#include "sim/cache/cache_observer.h"
#include "sim/cache/point_retention.h"

namespace v4cap {

namespace {

std::int64_t blocks_for(Tokens length, Tokens block) {
  return (length.value + block.value - 1) / block.value;
}

}  // namespace

KvCache::KvCache(std::unique_ptr<Layout> layout, std::unique_ptr<SwaPolicy> policy, Tokens block)
    : layout_(std::move(layout)),
      policy_(std::move(policy)),
      block_(block),
      window_(policy_->stores_window_of_every_token()),
      windows_in_pool_(policy_->window_pool_ratio().has_value()),
      windows_stay_(layout_->running_windows_stay()),
      point_limit_(point_budget(*layout_, policy_->retention())),
      scores_(policy_->make_scores()),
      index_(*layout_, block, window_, point_retention(*policy_, *layout_), scores_.get(),
             dead_ends(*policy_, *layout_)) {}

void KvCache::observe(CacheObserver* observer) {
  V4CAP_CHECK(running_ == 0 && in_use() == KindBytes{},
              "a cache is observed only after it was used");
  V4CAP_CHECK(observer == nullptr || tiers_ == nullptr, "a cache with tiers is observed");
  index_.observe(observer);
  observer_ = observer;
}

KindBytes KvCache::blocks_charge(std::int64_t begin, std::int64_t end) const {
  return layout_->blocks(begin, end, window_);
}

bool KvCache::fits_alone(Tokens length, Tokens in_flight) const {
  const KindBytes needed =
      blocks_charge(0, blocks_for(length, block_)) + layout_->running(window_, in_flight);
  const auto& pools = layout_->pools();
  return std::all_of(pools.begin(), pools.end(), [&](const PoolSpec& pool) {
    return pool.bytes_of(needed) <= pool.capacity.value;
  });
}

Lookup KvCache::lookup(std::span<const KeyRun> keys, std::int64_t indexable, Tokens length) const {
  const std::int64_t limit = std::min((length.value - 1) / block_.value, indexable);
  Lookup found;
  found.match = index_.match(keys, limit);
  found.cached = block_ * found.match.blocks;
  const Tokens point = index_.last_point(found.match, found.cached, policy_->points_a_hit());
  found.resume = policy_->resume(found.cached, point);
  V4CAP_CHECK(
      found.resume.position <= found.cached && found.resume.rebuild <= found.resume.position,
      "a policy resumes behind what is cached: " + policy_->name());
  return found;
}

// True when `wanted` fits beside what is in use and `pinned`, were all else evicted.
bool KvCache::fits_beside(const KindBytes& pinned, const KindBytes& wanted) {
  const KindBytes needed = in_use() + pinned + wanted;
  const auto& pools = layout_->pools();
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (pools[i].bytes_of(needed) > pools[i].capacity.value) {
      short_pool_ = i;
      return false;
    }
  }
  return true;
}

// Evicts until `wanted` fits; evicts nothing when even an empty cache would not do.
bool KvCache::make_room(const KindBytes& wanted) {
  if (!fits_beside({}, wanted)) return false;
  const KindBytes needed = in_use() + wanted;
  for (const PoolSpec& pool : layout_->pools()) {
    const std::int64_t room = pool.capacity.value - pool.bytes_of(needed);
    while (pool.bytes_of(index_.cached()) > room) {
      const bool evicted = index_.evict(pool.has_blocks());
      V4CAP_CHECK(evicted, "cached bytes without a cached block");
    }
  }
  return true;
}

// Also keeps points within what the policy may keep.
bool KvCache::make_room_for_point(const KindBytes& bytes) {
  while ((index_.point_bytes() + reserved_ + bytes).total().value > point_limit_) {
    if (!index_.evict_point()) return false;
  }
  return make_room(bytes);
}

// As make_room, but points on the sequence's path, which serve later requests only, give way to it:
// as few as needed, from the end, and none when all would not do.
bool KvCache::make_room_on_path(CachedSequence& sequence, const KindBytes& wanted) {
  if (make_room(wanted)) return true;
  KindBytes freed = index_.points_on_path(sequence.cursor);
  for (const OwnPoint& point : sequence.own_points) freed += point.bytes;
  if (sequence.output_end) freed += sequence.output_end->bytes;
  if (!fits_beside(KindBytes{} - freed, wanted)) return false;
  while (!make_room(wanted)) {
    ++points_dropped_;
    if (sequence.output_end) {
      give_up(sequence, *sequence.output_end);
      sequence.output_end.reset();
    } else if (sequence.own_points.empty()) {
      index_.drop_last_point(sequence.cursor);
    } else {
      give_up(sequence, sequence.own_points.back());
      sequence.own_points.pop_back();
    }
  }
  return true;
}

bool KvCache::admit(CachedSequence& sequence, const Lookup& lookup, Tokens length, Tokens in_flight,
                    bool first) {
  V4CAP_CHECK(!sequence.running, "a running sequence was admitted again");
  const std::int64_t blocks = blocks_for(length, block_);
  const KindBytes state = layout_->running(window_, in_flight);
  const KindBytes own = blocks_charge(lookup.match.blocks, blocks) + state;
  // Asked before anything is locked: a blocked head of the queue asks at every step and must leave
  // no trace in the order of eviction.
  const bool alone = in_use() == KindBytes{} && fits_alone(length, in_flight);
  if (!alone && !fits_beside(index_.unlocked_on_path(lookup.match), own)) return false;
  const NodeId pin = sequence.cursor;
  sequence.cursor = index_.lock(lookup.match);
  if (sequence.pinned) index_.release(pin);
  sequence.pinned = false;
  // Told before room is made: the point that is resumed at may have to go for it.
  if (observer_ != nullptr) {
    const Resume& resume = lookup.resume;
    const bool reads_point = resume.position > Tokens{0} && resume.rebuild == Tokens{0};
    observer_->admitted(
        {sequence.tag, sequence.cursor, lookup.match.blocks, resume,
         reads_point ? index_.find_point(sequence.cursor, resume.position) : kNoPointId});
  }
  const bool room = make_room_on_path(sequence, own);
  V4CAP_CHECK(room, "room that was counted is not there");
  own_ += own;
  sequence.state = state;
  sequence.shared = lookup.match.blocks;
  sequence.own = blocks - lookup.match.blocks;
  if (observer_ != nullptr) observer_->grown(sequence.tag, sequence.own);
  sequence.running = true;
  ++running_;
  sequence.points.cached = lookup.cached;
  index_.use_points(sequence.cursor, lookup.cached, lookup.resume.position,
                    policy_->points_a_hit());
  if (first) count_resume(lookup.resume);
  if (tiers_ != nullptr) use_path(sequence, lookup);
  return true;
}

bool KvCache::would_fit(const Lookup& lookup, Tokens length, Tokens in_flight, Tokens growth) {
  const std::int64_t begin = lookup.match.blocks;
  const std::int64_t end = blocks_for(length, block_) + blocks_for(growth, block_);
  KindBytes wanted = blocks_charge(begin, end) + layout_->running(window_, in_flight);
  if (windows_stay_) wanted += layout_->windows(0, blocks_for(growth, block_));
  return fits_beside(index_.unlocked_on_path(lookup.match), wanted);
}

void KvCache::plan_points(CachedSequence& sequence, Tokens prompt) const {
  sequence.points.prompt_end = round_down(prompt, block_);
}

void KvCache::decodes(CachedSequence& sequence) {
  if (windows_stay_) return;
  const KindBytes state = layout_->running(window_, Tokens{1});
  own_ -= sequence.state;
  own_ += state;
  sequence.state = state;
}

bool KvCache::grow(CachedSequence& sequence, Tokens length) {
  const std::int64_t blocks = blocks_for(length, block_);
  const std::int64_t have = sequence.shared + sequence.own;
  if (blocks <= have) return true;
  KindBytes more = blocks_charge(have, blocks);
  // A sequence that has all the memory to itself gives up its oldest windows instead of stopping.
  const KindBytes windows =
      windows_stay_ && running_ > 1 ? layout_->windows(have, blocks) : KindBytes{};
  more += windows;
  if (!make_room_on_path(sequence, more)) return false;
  own_ += more;
  sequence.state += windows;
  sequence.own = blocks - sequence.shared;
  if (observer_ != nullptr) observer_->grown(sequence.tag, blocks - have);
  return true;
}

KindBytes KvCache::point_bytes(Tokens position) const {
  return v4cap::point_bytes(*policy_, *layout_, block_, position);
}

void KvCache::uncharge(const OwnPoint& point) {
  own_ -= point.bytes;
  reserved_ -= point.bytes;
}

void KvCache::give_up(const CachedSequence& sequence, const OwnPoint& point) {
  uncharge(point);
  if (observer_ != nullptr) observer_->point_dropped(sequence.tag, point.position);
}

Bytes KvCache::reserve_points(CachedSequence& sequence, Tokens from, Tokens to) {
  Bytes reserved;
  const Tokens last = block_ * sequence.indexable;
  for (Tokens at = policy_->next_point(from, sequence.points); at <= to && at <= last;
       at = policy_->next_point(at, sequence.points)) {
    KindBytes bytes;
    if (!windows_in_pool_) {  // otherwise written by the step itself; room is made afterwards
      bytes = point_bytes(at);
      if (!make_room_for_point(bytes)) {
        ++points_dropped_;
        continue;
      }
    }
    own_ += bytes;
    reserved_ += bytes;
    sequence.own_points.push_back({at, bytes, policy_->reason(at, sequence.points)});
    reserved += bytes.total();
    if (observer_ != nullptr) {
      observer_->point_reserved(sequence.tag, at, sequence.own_points.back().reason);
    }
  }
  return reserved;
}

void KvCache::place_point(CachedSequence& sequence, const OwnPoint& point) {
  uncharge(point);
  KindBytes bytes = point.bytes;
  if (windows_in_pool_) {
    // Windows that nobody used for longest go first, those of this sequence's own past among them.
    bytes = point_bytes(point.position);
    if (!make_room_for_point(bytes)) {
      ++points_dropped_;
      if (observer_ != nullptr) observer_->point_dropped(sequence.tag, point.position);
      return;
    }
  }
  const PointId kept = index_.add_point(sequence.cursor, point.position, bytes, point.reason);
  if (kept == kNoPointId) {
    if (observer_ != nullptr) observer_->point_found(sequence.tag, point.position);
    return;
  }
  if (observer_ != nullptr) observer_->point_kept(sequence.tag, point.position, kept);
  written_ += bytes;
  ++points_kept_;
  if (tiers_ != nullptr) use_point(sequence, point.position);
}

// While a sequence decodes, the state at the last block boundary is copied aside: where its output
// will end is known only when it is too late to copy it out of the running window.
void KvCache::keep_output_end(CachedSequence& sequence, Tokens end) {
  if (sequence.output_end && sequence.output_end->position == end) return;
  const OwnPoint next{end, point_bytes(end), PointReason::output_end};
  if (sequence.output_end) give_up(sequence, *sequence.output_end);
  sequence.output_end.reset();
  if (!make_room_for_point(next.bytes)) {
    ++points_dropped_;
    return;
  }
  own_ += next.bytes;
  reserved_ += next.bytes;
  sequence.output_end = next;
  if (observer_ != nullptr) observer_->point_reserved(sequence.tag, end, next.reason);
}

void KvCache::commit(CachedSequence& sequence, Tokens length) {
  const std::int64_t full = std::min(length.value / block_.value, sequence.indexable);
  if (full > sequence.shared) {
    // What leaves `own` enters the index; what another sequence computed meanwhile is freed.
    const std::int64_t begin = sequence.shared;
    const auto appended = index_.append(sequence.cursor, sequence.keys, begin, full);
    if (observer_ != nullptr) {
      observer_->committed(sequence.tag, appended.cursor, begin, full, appended.adopted);
    }
    const KindBytes all = blocks_charge(begin, full);
    own_ -= all;
    written_ += appended.adopted == 0 ? all : blocks_charge(begin + appended.adopted, full);
    if (tiers_ != nullptr) use_blocks(sequence, begin + appended.adopted, full);
    sequence.cursor = appended.cursor;
    sequence.own -= full - begin;
    sequence.shared = full;
  }
  std::size_t placed = 0;
  while (placed < sequence.own_points.size() && sequence.own_points[placed].position <= length) {
    place_point(sequence, sequence.own_points[placed++]);
  }
  if (placed > 0) {
    sequence.own_points.erase(sequence.own_points.begin(),
                              sequence.own_points.begin() + static_cast<std::ptrdiff_t>(placed));
  }
  if (policy_->keeps_output_end() && block_ * full > sequence.points.prompt_end) {
    keep_output_end(sequence, block_ * full);
  }
}

// The steps up to the n-th may be planned if they have room and bring no point, and be finished, all
// but the last of them, if that completes nothing.
Tokens KvCache::quiet_for(const CachedSequence& sequence, Tokens computed) const {
  Tokens quiet = block_ * (sequence.shared + sequence.own) - computed;
  if (sequence.shared < sequence.indexable) {
    quiet = std::min(quiet, block_ * (sequence.shared + 1) - computed);
  }
  if (!sequence.own_points.empty()) {
    quiet = std::min(quiet, sequence.own_points.front().position - computed);
  }
  // The first step's point, were there one, has been taken care of.
  const Tokens point = policy_->next_point(computed + Tokens{1}, sequence.points);
  if (point <= block_ * sequence.indexable) {
    quiet = std::min(quiet, point - Tokens{1} - computed);
  }
  return quiet;
}

Tokens KvCache::quiet_until(const CachedSequence& sequence, Tokens reserved) const {
  Tokens until = block_ * (sequence.shared + sequence.own);
  if (sequence.shared < sequence.indexable) {
    until = std::min(until, block_ * (sequence.shared + 1) - Tokens{1});
  }
  if (!sequence.own_points.empty()) {
    until = std::min(until, sequence.own_points.front().position - Tokens{1});
  }
  const Tokens point = policy_->next_point(reserved, sequence.points);
  if (point <= block_ * sequence.indexable) until = std::min(until, point - Tokens{1});
  return until;
}

void KvCache::release(CachedSequence& sequence) {
  V4CAP_CHECK(sequence.running, "a sequence that does not run was released");
  own_ -= blocks_charge(sequence.shared, sequence.shared + sequence.own);
  own_ -= sequence.state;
  sequence.state = {};
  for (const OwnPoint& point : sequence.own_points) give_up(sequence, point);
  sequence.own_points.clear();
  if (sequence.output_end) place_point(sequence, *sequence.output_end);
  sequence.output_end.reset();
  if (observer_ != nullptr) observer_->released(sequence.tag);
  index_.release(sequence.cursor);
  sequence.cursor = kRootNode;
  sequence.shared = sequence.own = 0;
  sequence.running = false;
  --running_;
}

KindBytes KvCache::clear() {
  V4CAP_CHECK(running_ == 0, "a cache was cleared under running sequences");
  copies_down_ = false;
  const KindBytes lost = cached();
  while (index_.cached() != KindBytes{}) {
    const bool evicted = index_.evict(true);
    V4CAP_CHECK(evicted, "cached bytes without a cached block");
  }
  copies_down_ = true;
  return lost;
}

void KvCache::count_resume(const Resume& resume) {
  if (resume.position == Tokens{0}) return;
  reused_ += layout_->blocks(0, resume.position / block_, false);
  KindBytes point = layout_->point(resume.position);
  if (window_) point[CacheKind::tails] = 0;  // `full` keeps no compressor rows
  (resume.rebuild > Tokens{0} ? rebuilt_ : reused_) += point;
}

void KvCache::check_drained() const {
  index_.check();
  V4CAP_CHECK(own_ == KindBytes{} && reserved_ == KindBytes{},
              "bytes of sequences that are gone are still charged");
  V4CAP_CHECK(index_.in_use() == KindBytes{}, "blocks of sequences that are gone are still locked");
  KindBytes balance = written_ + loaded_ + received_;
  balance -= index_.evicted();
  V4CAP_CHECK(balance == index_.cached(),
              "bytes written, loaded, received, evicted and cached do not add up");
  if (tiers_ != nullptr) tiers_->check();
}

}  // namespace v4cap
