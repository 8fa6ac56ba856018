// Dead ends dropped: what is cached behind the last window of a branch goes with that window. The
// index against a plain table of blocks and windows under random operations, and what it means to a
// cache whose windows have a pool of their own.
#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <map>
#include <string>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/core/random.h"
#include "tests/sim/cache/engine_layout.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"

namespace v4cap {
namespace {

constexpr Tokens kBlock{64};
constexpr std::int64_t kBytes = 10, kWindow = 3;  // of a block, of its window

using Keys = std::vector<std::int64_t>;

std::vector<KeyRun> runs_of(const Keys& keys) {
  std::vector<KeyRun> runs;
  for (const std::int64_t key : keys) runs.push_back({key, 1});
  return runs;
}

KindBytes window_bytes() {
  KindBytes bytes;
  bytes[CacheKind::swa] = kWindow;
  return bytes;
}

// Every block of every prefix on its own. A window is used at a time; 0: there is none.
class PlainTree {
 public:
  std::int64_t match(const Keys& keys) const {
    std::int64_t n = 0;
    while (n < size(keys) && blocks_.count(head(keys, n + 1)) > 0) ++n;
    return n;
  }
  std::int64_t last_window(const Keys& keys, std::int64_t blocks) const {
    while (blocks > 0 && blocks_.at(head(keys, blocks)).window == 0) --blocks;
    return blocks;
  }
  void lock(const Keys& keys, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin + 1; n <= end; ++n) ++blocks_[head(keys, n)].refs;
  }
  bool add_window(const Keys& keys, std::int64_t blocks) {
    Block& block = blocks_.at(head(keys, blocks));
    if (block.window > 0) return false;
    block.window = ++clock_;
    return true;
  }
  void use_window(const Keys& keys, std::int64_t blocks) {
    if (blocks > 0) blocks_.at(head(keys, blocks)).window = ++clock_;
  }
  void release(const Keys& keys, std::int64_t blocks) {
    ++clock_;
    for (std::int64_t n = 1; n <= blocks; ++n) {
      Block& block = blocks_.at(head(keys, n));
      if (--block.refs == 0) block.released = clock_;
    }
    drop_dead_ends();
  }
  // The window that was used longest ago.
  bool evict_window() {
    Block* oldest = nullptr;
    for (auto& [prefix, block] : blocks_) {
      if (block.window > 0 && (oldest == nullptr || block.window < oldest->window)) oldest = &block;
    }
    if (oldest == nullptr) return false;
    oldest->window = 0;
    evicted_ += kWindow;
    drop_dead_ends();
    return true;
  }
  // The cached block that was released longest ago; of those the deepest.
  bool evict_block() {
    auto oldest = blocks_.end();
    for (auto at = blocks_.begin(); at != blocks_.end(); ++at) {
      if (at->second.refs > 0) continue;
      if (oldest == blocks_.end() || at->second.released < oldest->second.released ||
          (at->second.released == oldest->second.released &&
           at->first.size() > oldest->first.size())) {
        oldest = at;
      }
    }
    if (oldest == blocks_.end()) return false;
    erase(oldest);
    drop_dead_ends();
    return true;
  }

  std::int64_t in_use() const { return sum(true); }
  std::int64_t cached() const { return sum(false); }
  std::int64_t evicted() const { return evicted_; }

 private:
  struct Block {
    int refs = 0;
    std::int64_t released = 0, window = 0;
  };
  using Blocks = std::map<Keys, Block>;

  static std::int64_t size(const Keys& keys) { return static_cast<std::int64_t>(keys.size()); }
  static Keys head(const Keys& keys, std::int64_t n) { return {keys.begin(), keys.begin() + n}; }

  void erase(Blocks::iterator at) {
    evicted_ += kBytes + (at->second.window > 0 ? kWindow : 0);
    blocks_.erase(at);
  }
  // Cached blocks without a window that no block follows, until there is none.
  void drop_dead_ends() {
    for (bool again = true; again;) {
      again = false;
      for (auto at = blocks_.begin(); at != blocks_.end();) {
        const auto next = std::next(at);
        const bool followed = next != blocks_.end() && next->first.size() > at->first.size() &&
                              std::equal(at->first.begin(), at->first.end(), next->first.begin());
        if (at->second.refs == 0 && at->second.window == 0 && !followed) {
          erase(at);
          again = true;
        }
        at = next;
      }
    }
  }
  // Windows are never in use.
  std::int64_t sum(bool in_use) const {
    std::int64_t bytes = 0;
    for (const auto& [prefix, block] : blocks_) {
      if ((block.refs > 0) == in_use) bytes += kBytes;
      if (!in_use && block.window > 0) bytes += kWindow;
    }
    return bytes;
  }

  Blocks blocks_;
  std::int64_t clock_ = 0, evicted_ = 0;
};

struct Holder {
  Keys keys;
  NodeId cursor;
  std::int64_t blocks;
};

class Duel {
 public:
  explicit Duel(std::uint64_t seed)
      : engine_(RandomStreams(seed).stream("dead ends")),
        layout_(ToyCosts{1'000'000, kBytes, kWindow, kWindow, 0}),
        index_(layout_, kBlock, false, PointRetention::own, nullptr, DeadEnds::drop) {}

  void step() {
    switch (draw(0, 9)) {
      case 0:
      case 1:
        start();
        break;
      case 2:
      case 3:
        append();
        break;
      case 4:
      case 5:
        add_window();
        break;
      case 6:
      case 7:
        release();
        break;
      case 8:
        REQUIRE(index_.evict_point() == plain_.evict_window());
        break;
      default:
        REQUIRE(index_.evict(true) == evict_any());
    }
    compare();
  }

  void drain() {
    while (!holders_.empty()) release();
    while (index_.evict(true)) {
      REQUIRE(evict_any());
      compare();
    }
    REQUIRE(index_.cached() == KindBytes{});
    REQUIRE(index_.point_count() == 0);
  }

 private:
  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  Holder& any() {
    return holders_[static_cast<std::size_t>(
        draw(0, static_cast<std::int64_t>(holders_.size()) - 1))];
  }
  bool evict_any() { return plain_.evict_block() || plain_.evict_window(); }

  void compare() {
    index_.check();
    REQUIRE(index_.in_use().total().value == plain_.in_use());
    REQUIRE(index_.cached().total().value == plain_.cached());
    REQUIRE(index_.evicted().total().value == plain_.evicted());
  }

  // Of an alphabet so small that sequences share prefixes of all lengths.
  Keys sequence() {
    Keys keys;
    for (std::int64_t n = draw(1, 8); n > 0; --n) keys.push_back(draw(0, 2));
    return keys;
  }

  void start() {
    if (holders_.size() >= 6) return;
    const Keys keys = sequence();
    const auto runs = runs_of(keys);
    const auto match = index_.match(runs, static_cast<std::int64_t>(keys.size()));
    REQUIRE(match.blocks == plain_.match(keys));
    const std::int64_t window = plain_.last_window(keys, match.blocks);
    REQUIRE(index_.last_point(match, kBlock * match.blocks) == kBlock * window);
    const NodeId cursor = index_.lock(match);
    plain_.lock(keys, 0, match.blocks);
    index_.use_points(cursor, kBlock * match.blocks, kBlock * window);
    plain_.use_window(keys, window);
    holders_.push_back({keys, cursor, match.blocks});
  }

  void append() {
    if (holders_.empty()) return;
    Holder& holder = any();
    const auto end = draw(holder.blocks, static_cast<std::int64_t>(holder.keys.size()));
    holder.cursor = index_.append(holder.cursor, runs_of(holder.keys), holder.blocks, end).cursor;
    plain_.lock(holder.keys, holder.blocks, end);
    holder.blocks = end;
  }

  void add_window() {
    if (holders_.empty()) return;
    const Holder& holder = any();
    if (holder.blocks == 0) return;
    const auto at = draw(1, holder.blocks);
    const PointId added = index_.add_point(holder.cursor, kBlock * at, window_bytes());
    REQUIRE((added != kNoPointId) == plain_.add_window(holder.keys, at));
  }

  void release() {
    if (holders_.empty()) return;
    Holder& holder = any();
    index_.release(holder.cursor);
    plain_.release(holder.keys, holder.blocks);
    std::swap(holder, holders_.back());
    holders_.pop_back();
  }

  RandomEngine engine_;
  ToyLayout layout_;
  PrefixIndex index_;
  PlainTree plain_;
  std::vector<Holder> holders_;
};

TEST_CASE("dead ends: the index equals a plain table of blocks and windows") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Duel duel(seed);
    for (int i = 0; i < 2000; ++i) {
      CAPTURE(i);
      duel.step();
    }
    duel.drain();
  }
}

// Windows of six blocks, entries of as many as there are.
KvCache cache_of(const std::string& policy, bool drop) {
  ToyCosts costs{1000, 1, 1, 1, 0};
  costs.windows = 6;
  costs.drops_dead_ends = drop;
  return KvCache(std::make_unique<ToyLayout>(costs),
                 make_policy(policy, toy_geometry(2), kBlock, std::nullopt), kBlock);
}

// A prompt of `blocks` blocks of its own that is computed, block by block, and ends.
void store(KvCache& cache, std::int64_t key, std::int64_t blocks) {
  CachedSequence sequence;
  sequence.keys = {{key, blocks}};
  sequence.indexable = blocks;
  const Tokens length = kBlock * blocks;
  REQUIRE(cache.admit(sequence, cache.lookup(sequence, length), length, Tokens{1}, true));
  cache.reserve_points(sequence, Tokens{0}, length);
  cache.commit(sequence, length);
  cache.release(sequence);
}

std::int64_t blocks_of(const KvCache& cache, std::int64_t key) {
  const std::vector<KeyRun> keys = {{key, 100}};
  return cache.lookup(keys, 100, kBlock * 100 + Tokens{1}).match.blocks;
}

TEST_CASE("dead ends: a prompt whose last window goes is gone whole, and no hit is lost by it") {
  for (const bool drop : {false, true}) {
    CAPTURE(drop);
    KvCache cache = cache_of("pool=0.1", drop);
    store(cache, 1000, 4);
    store(cache, 2000, 4);  // the last two windows of the first prompt are left: enough for a hit
    CHECK(blocks_of(cache, 1000) == 4);
    CHECK(cache.lookup(std::vector<KeyRun>{{1000, 4}}, 4, kBlock * 5).resume.position ==
          kBlock * 4);
    store(cache, 3000, 2);
    CHECK(blocks_of(cache, 1000) == (drop ? 0 : 4));
    CHECK(cache.lookup(std::vector<KeyRun>{{1000, 4}}, 4, kBlock * 5).resume.position == Tokens{0});
    CHECK(blocks_of(cache, 2000) == 4);
    CHECK(cache.evicted()[CacheKind::csa] == (drop ? 4 : 0));
    cache.check_drained();
  }
}

TEST_CASE("dead ends: a policy that rebuilds windows keeps entries without one") {
  KvCache cache = cache_of("pool=0.1+recompute", true);
  store(cache, 1000, 10);
  store(cache, 2000, 10);
  CHECK(blocks_of(cache, 1000) == 10);
  const Lookup found = cache.lookup(std::vector<KeyRun>{{1000, 10}}, 10, kBlock * 11);
  CHECK(found.resume.position == kBlock * 10);
  CHECK(found.resume.rebuild == Tokens{256});
  // Where the window is still there nothing is rebuilt.
  CHECK(cache.lookup(std::vector<KeyRun>{{2000, 10}}, 10, kBlock * 11).resume.rebuild == Tokens{0});
  cache.check_drained();
}

TEST_CASE("dead ends: layout sglang drops them unless it is told not to") {
  LayoutSetting setting;
  setting.model = "deepseek-v4-flash";
  CHECK_FALSE(engine_layout("sglang", setting)->drops_dead_ends());
  setting.options["dead_ends_dropped"] = 1;
  CHECK(engine_layout("sglang", setting)->drops_dead_ends());
}

}  // namespace
}  // namespace v4cap
