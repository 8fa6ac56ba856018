// The radix tree against a model without any structure: one record per block, keyed by the block's
// whole prefix. Random operations are applied to both; matched lengths, all sums, and what each
// eviction takes must agree after every one.
#include "sim/cache/prefix_index.h"

#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <map>
#include <optional>
#include <vector>

#include "sim/core/random.h"
#include "tests/sim/cache/toy_layout.h"

namespace v4cap {
namespace {

KindBytes point_bytes() {
  KindBytes bytes;
  bytes[CacheKind::swa] = 100;  // kCosts.point
  return bytes;
}

using Keys = std::vector<std::int64_t>;
constexpr Tokens kBlock{64};
constexpr ToyCosts kCosts{1'000'000, 10, 3, 100, 0};

std::vector<KeyRun> runs_of(const Keys& keys) {
  std::vector<KeyRun> runs;
  for (const std::int64_t key : keys) {
    if (!runs.empty() && runs.back().first + runs.back().count == key) {
      ++runs.back().count;
    } else {
      runs.push_back({key, 1});
    }
  }
  return runs;
}

// Every block of every prefix on its own.
class PlainModel {
 public:
  std::int64_t match(const Keys& keys, std::int64_t limit) const {
    Keys prefix;
    std::int64_t n = 0;
    for (; n < limit; ++n) {
      prefix.push_back(keys[static_cast<std::size_t>(n)]);
      if (blocks_.count(prefix) == 0) break;
    }
    return n;
  }

  Tokens last_point(const Keys& keys, std::int64_t blocks, Tokens limit) const {
    for (std::int64_t n = blocks; n > 0; --n) {
      if (kBlock * n <= limit && blocks_.at(head(keys, n)).point) return kBlock * n;
    }
    return {};
  }

  std::int64_t unlocked(const Keys& keys, std::int64_t blocks) const {
    std::int64_t bytes = 0;
    for (std::int64_t n = 1; n <= blocks; ++n) {
      const Block& block = blocks_.at(head(keys, n));
      if (block.refs == 0) bytes += bytes_of(block);
    }
    return bytes;
  }

  void lock(const Keys& keys, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin + 1; n <= end; ++n) ++blocks_[head(keys, n)].refs;
  }

  void release(const Keys& keys, std::int64_t blocks) {
    ++clock_;
    for (std::int64_t n = 1; n <= blocks; ++n) {
      Block& block = blocks_.at(head(keys, n));
      if (--block.refs == 0) block.released = clock_;
    }
  }

  bool add_point(const Keys& keys, std::int64_t blocks) {
    bool& point = blocks_.at(head(keys, blocks)).point;
    return !std::exchange(point, true);
  }

  // Longest ago released; of those the deepest. The prefix that goes, or nothing.
  std::optional<Keys> evict() {
    const std::pair<const Keys, Block>* oldest = nullptr;
    for (const auto& entry : blocks_) {
      if (entry.second.refs > 0) continue;
      if (oldest == nullptr || entry.second.released < oldest->second.released ||
          (entry.second.released == oldest->second.released &&
           entry.first.size() > oldest->first.size())) {
        oldest = &entry;
      }
    }
    if (oldest == nullptr) return std::nullopt;
    const Keys gone = oldest->first;
    evicted_ += bytes_of(oldest->second);
    blocks_.erase(gone);
    return gone;
  }

  std::int64_t bytes(bool in_use) const {
    std::int64_t sum = 0;
    for (const auto& [prefix, block] : blocks_)
      sum += (block.refs > 0) == in_use ? bytes_of(block) : 0;
    return sum;
  }
  std::int64_t evicted() const { return evicted_; }
  bool holds(const Keys& prefix) const { return blocks_.count(prefix) > 0; }
  std::int64_t points_on(const Keys& keys, std::int64_t blocks) const {
    std::int64_t n = 0;
    for (std::int64_t b = 1; b <= blocks; ++b) n += blocks_.at(head(keys, b)).point ? 1 : 0;
    return n;
  }

 private:
  struct Block {
    int refs = 0;
    std::int64_t released = 0;
    bool point = false;
  };
  static Keys head(const Keys& keys, std::int64_t n) { return {keys.begin(), keys.begin() + n}; }
  static std::int64_t bytes_of(const Block& block) {
    return kCosts.block + kCosts.block_window + (block.point ? kCosts.point : 0);
  }

  std::map<Keys, Block> blocks_;
  std::int64_t clock_ = 0, evicted_ = 0;
};

// A sequence that holds a path in both.
struct Holder {
  Keys keys;
  NodeId cursor;
  std::int64_t blocks;  // locked so far
};

class Duel {
 public:
  explicit Duel(std::uint64_t seed)
      : engine_(RandomStreams(seed).stream("prefix index")),
        layout_(kCosts),
        index_(layout_, kBlock, true) {}

  void step() {
    switch (draw(0, 9)) {
      case 0:
      case 1:
      case 2:
        start();
        break;
      case 3:
      case 4:
      case 5:
        append();
        break;
      case 6:
        add_point();
        break;
      case 7:
        if (draw(0, 1) == 0) release();
        break;
      default:
        evict();
    }
    index_.check();
    REQUIRE(index_.in_use().total().value == model_.bytes(true));
    REQUIRE(index_.cached().total().value == model_.bytes(false));
    REQUIRE(index_.evicted().total().value == model_.evicted());
  }

  void drain() {
    while (!holders_.empty()) release();
    REQUIRE(index_.in_use() == KindBytes{});
    while (evict()) index_.check();
    REQUIRE(index_.cached() == KindBytes{});
  }

 private:
  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  std::size_t any(std::size_t n) {
    return static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(n) - 1));
  }

  // Half a known sequence, then blocks from an alphabet so small that keys repeat in all places
  // (ids that are not chained) and often follow each other.
  Keys sequence() {
    Keys keys;
    if (!known_.empty()) {
      const Keys& from = known_[any(known_.size())];
      keys.assign(from.begin(), from.begin() + draw(0, static_cast<std::int64_t>(from.size())));
    }
    for (std::int64_t n = draw(1, 12); n > 0; --n) {
      keys.push_back(!keys.empty() && draw(0, 2) > 0 ? keys.back() + 1 : draw(0, 5));
    }
    if (keys.size() > 40) keys.resize(40);
    if (known_.size() < 20) {
      known_.push_back(keys);
    } else {
      known_[any(known_.size())] = keys;
    }
    return keys;
  }

  void start() {
    const Keys keys = sequence();
    const auto limit = draw(0, static_cast<std::int64_t>(keys.size()));
    const auto runs = runs_of(keys);
    const PrefixIndex::Match match = index_.match(runs, limit);
    REQUIRE(match.blocks == model_.match(keys, limit));
    const Tokens bound = kBlock * draw(0, match.blocks);
    REQUIRE(index_.last_point(match, bound) == model_.last_point(keys, match.blocks, bound));
    REQUIRE(index_.unlocked_on_path(match).total().value == model_.unlocked(keys, match.blocks));
    if (holders_.size() >= 8) return;  // looking changes nothing
    holders_.push_back({keys, index_.lock(match), match.blocks});
    model_.lock(keys, 0, match.blocks);
  }

  void append() {
    if (holders_.empty()) return;
    Holder& holder = holders_[any(holders_.size())];
    const auto end = draw(holder.blocks, static_cast<std::int64_t>(holder.keys.size()));
    std::int64_t known = 0;
    while (
        holder.blocks + known < end &&
        model_.holds(Keys(holder.keys.begin(), holder.keys.begin() + holder.blocks + known + 1))) {
      ++known;
    }
    const auto appended = index_.append(holder.cursor, runs_of(holder.keys), holder.blocks, end);
    REQUIRE(appended.adopted == known);
    model_.lock(holder.keys, holder.blocks, end);
    holder.cursor = appended.cursor;
    holder.blocks = end;
  }

  void add_point() {
    if (holders_.empty()) return;
    const Holder& holder = holders_[any(holders_.size())];
    if (holder.blocks == 0) return;
    const auto at = draw(1, holder.blocks);
    const PointId added = index_.add_point(holder.cursor, kBlock * at, point_bytes());
    REQUIRE((added != kNoPointId) == model_.add_point(holder.keys, at));
  }

  void release() {
    if (holders_.empty()) return;
    const std::size_t i = any(holders_.size());
    index_.release(holders_[i].cursor);
    model_.release(holders_[i].keys, holders_[i].blocks);
    holders_.erase(holders_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  // The block that the model evicts was the end of a match before and is not afterwards.
  bool evict() {
    const std::optional<Keys> gone = model_.evict();
    const auto blocks = gone ? static_cast<std::int64_t>(gone->size()) : 0;
    if (gone) REQUIRE(index_.match(runs_of(*gone), blocks).blocks == blocks);
    REQUIRE(index_.evict(true) == gone.has_value());
    if (gone) REQUIRE(index_.match(runs_of(*gone), blocks).blocks == blocks - 1);
    return gone.has_value();
  }

  RandomEngine engine_;
  ToyLayout layout_;
  PrefixIndex index_;
  PlainModel model_;
  std::vector<Holder> holders_;
  std::vector<Keys> known_;
};

TEST_CASE("prefix index equals a plain table of blocks under random operations") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    Duel duel(seed);
    for (int i = 0; i < 3000; ++i) {
      CAPTURE(i);
      duel.step();
    }
    duel.drain();
  }
}

TEST_CASE("prefix index: of one release the end goes first, of two the older") {
  ToyLayout layout(kCosts);
  PrefixIndex index(layout, kBlock, false);
  const std::vector<KeyRun> a = {{0, 4}}, b = {{100, 4}};
  const auto put = [&](const std::vector<KeyRun>& keys) {
    index.release(index.append(index.lock(index.match(keys, 4)), keys, 0, 4).cursor);
  };
  put(a);
  put(b);
  index.release(index.lock(index.match(a, 2)));  // the front of `a` is used again
  struct Row {
    std::int64_t a, b;
  };
  for (const Row& left : {Row{3, 4}, {2, 4}, {2, 3}, {2, 2}, {2, 1}, {2, 0}, {1, 0}, {0, 0}}) {
    CHECK(index.evict(true));
    CHECK(index.match(a, 4).blocks == left.a);
    CHECK(index.match(b, 4).blocks == left.b);
  }
  CHECK_FALSE(index.evict(true));
}

TEST_CASE("prefix index: a point goes with the block it ends, and is found from behind") {
  ToyLayout layout(kCosts);
  PrefixIndex index(layout, kBlock, false);
  const std::vector<KeyRun> keys = {{0, 6}};
  const NodeId cursor = index.append(kRootNode, keys, 0, 6).cursor;
  CHECK(index.add_point(cursor, kBlock * 2, point_bytes()));
  CHECK(index.add_point(cursor, kBlock * 6, point_bytes()));
  CHECK_FALSE(index.add_point(cursor, kBlock * 6, point_bytes()));
  index.release(cursor);
  const auto last = [&] { return index.last_point(index.match(keys, 6), kBlock * 6); };
  CHECK(last() == kBlock * 6);
  CHECK(index.last_point(index.match(keys, 6), kBlock * 5) == kBlock * 2);
  CHECK(index.evict(true));
  CHECK(index.evicted().total() == Bytes{kCosts.block + kCosts.point});
  CHECK(last() == kBlock * 2);
  for (int i = 0; i < 4; ++i) CHECK(index.evict(true));
  CHECK(last() == Tokens{0});
}

}  // namespace
}  // namespace v4cap
