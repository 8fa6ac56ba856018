// The KV cache of one engine: what is in GPU memory, what a new request finds there, and what has
// to go.
//
// Memory is used by (1) blocks that running requests share through the prefix index, (2) blocks
// that only one request has yet, because they are not computed or not full, (3) each running
// request's own state (last window, compressor rows), (4) cached blocks and points that nobody
// uses, least recently used first to go. The SWA policy decides where points are kept and what a
// hit costs, the layout what everything takes.
//
// Below GPU memory there may be tiers (sim/cache/tier_stack.h): what is computed or evicted is copied
// there, and a prefix found there is loaded before its sequence is admitted.
//
// The cache knows neither clock nor device: a simulator and an executor drive it alike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/cache/layout.h"
#include "sim/cache/point_scores.h"
#include "sim/cache/prefix_index.h"
#include "sim/cache/swa_policy.h"
#include "sim/cache/tier_stack.h"

namespace v4cap {

// What a request finds at admission.
struct Lookup {
  PrefixIndex::Match match;
  Tokens cached;  // P: the compressed entries of this prefix are there
  Resume resume;  // R and what is rebuilt before it
};

// What of a waiting sequence's prefix lies below GPU memory, where that is worth being loaded.
struct BelowGpu {
  Lookup lookup;                  // what is on the GPU
  Resume resume;                  // with all that is found anywhere
  std::vector<LoadPiece> pieces;  // to be read for it
  std::vector<Tokens> points;     // of these, where points are
  std::vector<Tokens> tokens;     // by tier: whose blocks are read there
};

// A point that a sequence has made room for.
struct OwnPoint {
  Tokens position;
  KindBytes bytes;
  PointReason reason;
};

// One running sequence's hold on the cache. Plain data; all changes go through KvCache.
struct CachedSequence {
  std::uint32_t tag = 0;       // names it to a CacheObserver; an engine's slot of the request
  std::vector<KeyRun> keys;    // of all full blocks of prompt and output
  std::int64_t indexable = 0;  // blocks that may be shared (prompt only without reuse_generated)
  NodeId cursor = kRootNode;   // locked path
  std::int64_t shared = 0;     // blocks on that path
  std::int64_t own = 0;        // blocks after it that only this sequence has
  PointContext points;         // where the policy may want them
  std::vector<OwnPoint> own_points;  // reserved, to be added when their block is computed
  std::vector<Tokens> tokens_below;  // by tier: that are loaded for its first admission
  std::vector<std::int64_t> points_below;
  std::optional<OwnPoint> output_end;  // copied at the last block boundary of the output so far
  KindBytes state;                     // what the running sequence takes beside blocks and points
  bool running = false;
  bool pinned = false;  // loaded and not admitted yet: `cursor` is locked, and nothing else is held
};

class KvCache {
 public:
  KvCache(std::unique_ptr<Layout> layout, std::unique_ptr<SwaPolicy> policy, Tokens block);

  // Is told what is where from now on; null: nobody is. It must outlive the cache, in which nothing
  // may be yet.
  void observe(CacheObserver* observer);

  Tokens block() const { return block_; }
  const Layout& layout() const { return *layout_; }
  const SwaPolicy& policy() const { return *policy_; }

  // True when a sequence that grows to `length`, with up to `in_flight` new tokens at once, can run
  // with the whole memory to itself.
  bool fits_alone(Tokens length, Tokens in_flight) const;

  // What the cache holds of the first `length` tokens; at least one token is left to compute.
  Lookup lookup(const CachedSequence& sequence, Tokens length) const {
    return lookup(sequence.keys, sequence.indexable, length);
  }
  // The same of a sequence that is not here yet.
  Lookup lookup(std::span<const KeyRun> keys, std::int64_t indexable, Tokens length) const;

  // Where a policy may want points of a sequence whose prompt has so many tokens. Call once.
  void plan_points(CachedSequence& sequence, Tokens prompt) const;

  // Takes a sequence in, with blocks for its first `length` tokens and room for steps of up to
  // `in_flight` new ones. On failure nothing has changed and short_pool() says which pool had no
  // room. Never fails for a sequence that fits_alone() when nothing else runs. `first`: what the
  // hit reuses and rebuilds is counted.
  bool admit(CachedSequence& sequence, const Lookup& lookup, Tokens length, Tokens in_flight,
             bool first);

  // Would such a sequence fit, and beside it `growth` more tokens of running sequences in whole
  // blocks, if all that nobody uses were evicted? Asked of every pool; where the answer is no,
  // short_pool() says which had no room. Nothing else changes.
  bool would_fit(const Lookup& lookup, Tokens length, Tokens in_flight, Tokens growth);

  // From now on the sequence runs one token at a time: what its chunks needed beside that is freed.
  void decodes(CachedSequence& sequence);

  // Makes room for `length` tokens, which may then be computed. False: no room, nothing changed.
  bool grow(CachedSequence& sequence, Tokens length);

  // Reserves the points wanted in (from, to]; called for a chunk of prefill before it is computed.
  // Points that find no room are left out. Returns their bytes.
  Bytes reserve_points(CachedSequence& sequence, Tokens from, Tokens to);

  // The first `length` tokens are computed: full blocks become visible to others, with their
  // points. Needed only when commits_at() says so.
  void commit(CachedSequence& sequence, Tokens length);
  // Does having computed `length` tokens complete a block that is not shared yet, or a point?
  bool commits_at(const CachedSequence& sequence, Tokens length) const {
    if (!sequence.own_points.empty() && sequence.own_points.front().position <= length) return true;
    return sequence.shared < std::min(length / block_, sequence.indexable);
  }

  // What a sequence of `length` computed tokens must be sent to go on elsewhere, where its first
  // `had` blocks are: compressed entries in whole blocks, the last window, the compressor rows.
  KindBytes state_to_send(std::int64_t had, Tokens length) const;
  // The first `length` tokens of a sequence that was admitted have come from elsewhere: full blocks
  // become visible to others.
  void received(CachedSequence& sequence, Tokens length);

  // How many tokens a sequence with `computed` ones, which decodes and has room for the next, may
  // have computed more, one a step, before anything here has to be told of it but their number: room
  // for a block, a block that is complete, a point.
  Tokens quiet_for(const CachedSequence& sequence, Tokens computed) const;

  // Up to which length a sequence that decodes has room, completes no block and no point that is to
  // be committed, and wants no point behind `reserved`, up to where it was asked for points: until it
  // is committed, grows or is asked for more.
  Tokens quiet_until(const CachedSequence& sequence, Tokens reserved) const;

  // The sequence ends or is preempted: full blocks and points stay cached, all else is freed.
  void release(CachedSequence& sequence);

  // All that is here is being lost: until clear() nothing is copied to tiers below or used there.
  void abandon() { copies_down_ = false; }
  // Nothing runs and all that is cached is lost. It counts as evicted and is returned. Nothing of it
  // is copied to tiers below.
  KindBytes clear();

  // Tiers below from now on. Nothing may be in the cache yet, nor may it be observed.
  void attach(std::unique_ptr<TierStack> tiers);
  // What blocks and points take in a tier. The cache must outlive it.
  Tier::Measure stored() const;
  TierStack* tiers() { return tiers_.get(); }  // null: there are none
  const TierStack* tiers() const { return tiers_.get(); }

  // What below GPU memory would save the sequence computing; nothing where no more is found there
  // than on the GPU.
  std::optional<BelowGpu> look_below(const CachedSequence& sequence, Tokens length);
  // Makes room for what is loaded and orders it: `orders` says in how many parts. False: no room,
  // nothing changed. `first`: what is found is counted once it is there.
  bool begin_load(CachedSequence& sequence, const BelowGpu& below, bool first, int& orders);
  // All of it is there: others see it, too. It stays locked until the sequence is admitted or
  // unpin() lets it go.
  void finish_load(CachedSequence& sequence);
  void unpin(CachedSequence& sequence);
  // What is loaded for it will not come.
  void drop_load(CachedSequence& sequence);

  // State that was loaded into GPU memory, over the run; by tier, tokens whose blocks first
  // admissions had loaded from there, and points.
  const KindBytes& loaded() const { return loaded_; }
  const std::vector<Tokens>& tokens_below() const { return tokens_below_; }
  const std::vector<std::int64_t>& points_below() const { return points_below_; }

  // Windows are read where they are stored; otherwise a hit copies its point back.
  bool keeps_windows_in_place() const { return window_ || windows_in_pool_; }

  // Name of the pool that refused last.
  const std::string& short_pool() const { return layout_->pools()[short_pool_].name; }
  std::size_t short_pool_index() const { return short_pool_; }

  KindBytes in_use() const { return index_.in_use() + own_; }
  const KindBytes& cached() const { return index_.cached(); }
  KindBytes resident() const { return index_.in_use() + index_.cached() + own_; }
  const KindBytes& evicted() const { return index_.evicted(); }
  const KindBytes& written() const { return written_; }  // blocks and points kept, over the run
  KindBytes point_bytes() const { return index_.point_bytes() + reserved_; }  // kept or reserved
  std::int64_t points_kept() const { return points_kept_; }
  std::int64_t points_dropped() const { return points_dropped_; }  // wanted, but there was no room

  // State by kind that first admissions took from the cache, and that they had to rebuild.
  const KindBytes& reused() const { return reused_; }
  const KindBytes& rebuilt() const { return rebuilt_; }

  // Nothing runs: every byte in use must be gone. Conservation is checked against a full walk.
  void check_drained() const;
  void check() const { index_.check(); }

 private:
  bool make_room_for_point(const KindBytes& bytes);
  KindBytes point_bytes(Tokens position) const;
  void uncharge(const OwnPoint& point);
  void give_up(const CachedSequence& sequence, const OwnPoint& point);
  void keep_output_end(CachedSequence& sequence, Tokens end);
  void place_point(CachedSequence& sequence, const OwnPoint& point);
  bool fits_beside(const KindBytes& pinned, const KindBytes& wanted);
  bool make_room(const KindBytes& wanted);
  bool make_room_on_path(CachedSequence& sequence, const KindBytes& wanted);
  KindBytes blocks_charge(std::int64_t begin, std::int64_t end) const;
  void count_resume(const Resume& resume);
  bool has_point(const Lookup& gpu, std::int64_t blocks);
  Tokens last_point_anywhere(const Lookup& gpu, std::int64_t blocks);
  void use_blocks(const CachedSequence& sequence, std::int64_t begin, std::int64_t end);
  void use_point(const CachedSequence& sequence, Tokens position);
  void use_path(const CachedSequence& sequence, const Lookup& lookup);

  std::unique_ptr<Layout> layout_;
  std::unique_ptr<SwaPolicy> policy_;
  Tokens block_;
  bool window_;
  bool windows_in_pool_;      // points are the windows of single blocks
  bool windows_stay_;         // of running sequences: Layout::running_windows_stay()
  std::int64_t running_ = 0;  // sequences
  std::int64_t point_limit_;  // bytes that points may take; the policy's retention
  std::unique_ptr<PointScores> scores_;
  CacheObserver* observer_ = nullptr;
  PrefixIndex index_;
  KindBytes own_;       // (2) and (3): outside the index
  KindBytes reserved_;  // of these, points that are not in the index yet
  KindBytes written_, reused_, rebuilt_;
  std::size_t short_pool_ = 0;
  std::int64_t points_kept_ = 0, points_dropped_ = 0;
  std::unique_ptr<TierStack> tiers_;
  bool copies_down_ = true;  // what leaves the GPU
  KindBytes loaded_;
  KindBytes received_;  // blocks that others have computed
  std::vector<Tokens> tokens_below_;
  std::vector<std::int64_t> points_below_;
  std::vector<std::int64_t> keys_;  // of single blocks
};

}  // namespace v4cap
