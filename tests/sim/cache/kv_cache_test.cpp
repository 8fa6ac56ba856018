#include "sim/cache/kv_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <list>
#include <string>

#include "sim/core/random.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"

namespace v4cap {
namespace {

constexpr Tokens kBlock{64};

// A cache of the policy `text` on a model whose rebuild is 2 x 128 tokens.
KvCache cache_of(const std::string& text, const ToyCosts& costs) {
  return KvCache(std::make_unique<ToyLayout>(costs),
                 make_policy(text, toy_geometry(2), kBlock, std::nullopt), kBlock);
}

// Blocks `key`, key + 1, ... : equal keys are equal prefixes.
CachedSequence sequence_of(std::int64_t key, std::int64_t blocks) {
  CachedSequence sequence;
  sequence.keys = {{key, blocks}};
  sequence.indexable = blocks;
  return sequence;
}

bool admit(KvCache& cache, CachedSequence& sequence, Tokens length) {
  return cache.admit(sequence, cache.lookup(sequence, length), length, Tokens{1}, true);
}

// Computes a sequence of `blocks` blocks alone and leaves it in the cache.
void store(KvCache& cache, std::int64_t key, std::int64_t blocks) {
  CachedSequence sequence = sequence_of(key, blocks);
  REQUIRE(admit(cache, sequence, kBlock * blocks));
  cache.reserve_points(sequence, Tokens{0}, kBlock * blocks);
  cache.commit(sequence, kBlock * blocks);
  cache.release(sequence);
}

Tokens cached(const KvCache& cache, std::int64_t key, std::int64_t blocks) {
  return cache.lookup(sequence_of(key, blocks), kBlock * blocks + Tokens{1}).cached;
}

std::int64_t used(const KvCache& cache) {
  return cache.in_use().total().value + cache.cached().total().value;
}

TEST_CASE("kv cache: a hit leaves at least one token to compute") {
  KvCache cache = cache_of("full", {100, 1, 0, 0, 0});
  store(cache, 0, 4);
  struct Row {
    std::int64_t length, hit;
  };
  for (const Row& row : {Row{1, 0}, {64, 0}, {65, 64}, {256, 192}, {257, 256}, {1000, 256}}) {
    CAPTURE(row.length);
    CHECK(cache.lookup(sequence_of(0, 20), Tokens{row.length}).cached == Tokens{row.hit});
  }
}

TEST_CASE("kv cache: bytes of a sequence while it runs, when it is stored and when it is gone") {
  // 10 a block, 3 for its windows, 100 a point, 7 for a running sequence.
  struct Row {
    std::string policy;
    std::int64_t running, stored;
  };
  // 5 blocks and a part of the sixth; checkpoints after blocks 2 and 4.
  const Row rows[] = {{"full", 6 * 13 + 7, 5 * 13},
                      {"recompute", 6 * 10 + 7, 5 * 10},
                      {"checkpoint=128", 6 * 10 + 7 + 200, 5 * 10 + 200}};
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    KvCache cache = cache_of(row.policy, {1000, 10, 3, 100, 7});
    const Tokens length = kBlock * 5 + Tokens{1};
    CachedSequence sequence = sequence_of(0, 5);
    REQUIRE(admit(cache, sequence, length));
    cache.reserve_points(sequence, Tokens{0}, length);
    CHECK(cache.in_use().total().value == row.running);
    cache.commit(sequence, length);
    CHECK(cache.in_use().total().value == row.running);
    CHECK(cache.cached() == KindBytes{});
    cache.release(sequence);
    CHECK(cache.in_use() == KindBytes{});
    CHECK(cache.cached().total().value == row.stored);
    CHECK(cache.written().total().value == row.stored);
    cache.check_drained();
  }
}

TEST_CASE("kv cache: two that compute the same prompt at once are charged once in the end") {
  KvCache cache = cache_of("full", {100, 1, 0, 0, 0});
  CachedSequence a = sequence_of(0, 4), b = sequence_of(0, 4);
  REQUIRE(admit(cache, a, kBlock * 4));
  REQUIRE(admit(cache, b, kBlock * 4));
  CHECK(used(cache) == 8);
  cache.commit(a, kBlock * 2);
  cache.commit(b, kBlock * 4);
  CHECK(used(cache) == 6);  // b holds 4 with a's first 2 among them, a still has 2 of its own
  cache.commit(a, kBlock * 4);
  CHECK(used(cache) == 4);
  cache.release(a);
  cache.release(b);
  CHECK(cache.written().total() == Bytes{4});
  cache.check_drained();
}

TEST_CASE("kv cache: what has to make room is the longest unused") {
  KvCache cache = cache_of("full", {10, 1, 0, 0, 0});
  store(cache, 0, 3);
  store(cache, 100, 3);
  store(cache, 200, 3);
  CachedSequence again = sequence_of(0, 3);
  REQUIRE(admit(cache, again, kBlock * 3 + Tokens{1}));  // 0 is used again; takes the tenth block
  cache.release(again);
  store(cache, 300, 3);
  CHECK(cached(cache, 0, 3) == kBlock * 3);
  CHECK(cached(cache, 100, 3) == kBlock);
  CHECK(cached(cache, 200, 3) == kBlock * 3);
  CHECK(cached(cache, 300, 3) == kBlock * 3);
}

TEST_CASE("kv cache: a blocked admission leaves no trace") {
  KvCache cache = cache_of("full", {10, 1, 0, 0, 0});
  store(cache, 0, 3);
  store(cache, 100, 3);
  CachedSequence runs = sequence_of(200, 4);
  REQUIRE(admit(cache, runs, kBlock * 4));
  const KindBytes in_use = cache.in_use(), stored = cache.cached();
  // 3 hit + 4 of its own beside 4 in use do not fit; asked often, as a blocked head does.
  CachedSequence blocked = sequence_of(0, 7);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(admit(cache, blocked, kBlock * 7));
  CHECK(cache.short_pool() == "kv");
  CHECK(cache.in_use() == in_use);
  CHECK(cache.cached() == stored);
  CHECK(cache.evicted() == KindBytes{});
  cache.release(runs);
  // Had the blocked one touched its prefix, 100 would go first.
  CachedSequence next = sequence_of(300, 5);
  REQUIRE(admit(cache, next, kBlock * 5));
  CHECK(cached(cache, 0, 3) == kBlock * 2);
  CHECK(cached(cache, 100, 3) == kBlock * 3);
}

TEST_CASE("kv cache: a prefix that is hit is not evicted to make room for the rest") {
  KvCache cache = cache_of("full", {10, 1, 0, 0, 0});
  store(cache, 0, 4);
  store(cache, 100, 4);
  CachedSequence sequence = sequence_of(0, 8);  // the oldest prefix, then 6 new blocks
  const Lookup found = cache.lookup(sequence, kBlock * 10);
  REQUIRE(cache.admit(sequence, found, kBlock * 10, Tokens{1}, true));
  CHECK(sequence.shared == 4);
  CHECK(sequence.own == 6);
  CHECK(used(cache) == 10);
  CHECK(cached(cache, 100, 4) == Tokens{0});
}

TEST_CASE("kv cache: points that find no room are dropped, and counted") {
  // 8 blocks and a running sequence leave room for one point of two.
  KvCache cache = cache_of("checkpoint=256", {8 + 3 + 5, 1, 0, 3, 5});
  CachedSequence sequence = sequence_of(0, 8);
  REQUIRE(admit(cache, sequence, kBlock * 8));
  CHECK(cache.reserve_points(sequence, Tokens{0}, kBlock * 8) == Bytes{3});
  cache.commit(sequence, kBlock * 8);
  CHECK(cache.points_kept() == 1);
  CHECK(cache.points_dropped() == 1);
  cache.release(sequence);
  CHECK(cache.lookup(sequence_of(0, 8), kBlock * 9).resume.position == Tokens{256});
  cache.check_drained();
}

TEST_CASE("kv cache: points give way to the sequence that runs") {
  // Alone, 10 blocks fit exactly. Two points are kept when only 6 of them are needed yet.
  KvCache cache = cache_of("checkpoint=128", {10, 1, 0, 2, 0});
  REQUIRE(cache.fits_alone(kBlock * 10, Tokens{1}));
  SUBCASE("when it grows") {
    CachedSequence sequence = sequence_of(0, 10);
    REQUIRE(admit(cache, sequence, kBlock * 6));
    CHECK(cache.reserve_points(sequence, Tokens{0}, kBlock * 6) == Bytes{4});
    cache.commit(sequence, kBlock * 5);
    for (std::int64_t blocks = 7; blocks <= 10; ++blocks) {
      CAPTURE(blocks);
      REQUIRE(cache.grow(sequence, kBlock * blocks));
      CHECK(used(cache) <= 10);
    }
    cache.release(sequence);
  }
  SUBCASE("when it is admitted on a prefix with points") {
    store(cache, 0, 6);
    CHECK(cache.cached().total() == Bytes{10});
    CachedSequence sequence = sequence_of(0, 10);
    const Lookup found = cache.lookup(sequence, kBlock * 10);
    CHECK(found.resume.position == kBlock * 4);
    REQUIRE(cache.admit(sequence, found, kBlock * 10, Tokens{1}, true));
    CHECK(used(cache) <= 10);
    cache.release(sequence);
  }
  cache.check_drained();
}

TEST_CASE("kv cache: growth that cannot be had gives up no point") {
  KvCache cache = cache_of("checkpoint=128", {10, 1, 0, 2, 0});
  CachedSequence other = sequence_of(100, 3), sequence = sequence_of(0, 10);
  REQUIRE(admit(cache, other, kBlock * 3));
  REQUIRE(admit(cache, sequence, kBlock * 4));
  CHECK(cache.reserve_points(sequence, Tokens{0}, kBlock * 4) == Bytes{2});
  CHECK_FALSE(cache.grow(sequence, kBlock * 8));
  CHECK(sequence.own_points.size() == 1);
  CHECK(used(cache) == 9);
}

TEST_CASE("kv cache: blocks beyond what may be shared stay out of the index") {
  KvCache cache = cache_of("full", {100, 1, 0, 0, 0});
  CachedSequence sequence = sequence_of(0, 8);
  sequence.indexable = 5;  // as without reuse_generated: 5 blocks of prompt, 3 of output
  REQUIRE(admit(cache, sequence, kBlock * 8));
  cache.commit(sequence, kBlock * 8);
  CHECK(cache.in_use().total() == Bytes{8});
  cache.release(sequence);
  CHECK(cache.cached().total() == Bytes{5});
  CHECK(cached(cache, 0, 8) == kBlock * 5);
  cache.check_drained();
}

TEST_CASE("kv cache: what first admissions reused and rebuilt, by kind") {
  struct Row {
    std::string policy;
    std::int64_t reused, rebuilt;
  };
  // A hit of 8 blocks of 10; a window is 100. full: blocks and the last window; checkpoint: up to
  // the point after block 6; recompute: blocks, the window rebuilt.
  const Row rows[] = {
      {"full", 8 * 10 + 100, 0}, {"checkpoint=384", 6 * 10 + 100, 0}, {"recompute", 8 * 10, 100}};
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    KvCache cache = cache_of(row.policy, {1000, 10, 3, 100, 0});
    store(cache, 0, 8);
    CHECK(cache.reused() == KindBytes{});
    CachedSequence sequence = sequence_of(0, 8);
    const Tokens length = kBlock * 8 + Tokens{1};
    REQUIRE(admit(cache, sequence, length));
    CHECK(cache.reused().total().value == row.reused);
    CHECK(cache.rebuilt().total().value == row.rebuilt);
    cache.release(sequence);
    REQUIRE(cache.admit(sequence, cache.lookup(sequence, length), length, Tokens{1}, false));
    CHECK(cache.reused().total().value == row.reused);  // an admission after a preemption is not
    cache.release(sequence);
  }
}

// A few sequences at a time with shared prefixes come, grow, finish chunks and go, in a memory that
// is nearly always full.
class Churn {
 public:
  Churn(const std::string& policy, std::uint64_t seed)
      : engine_(RandomStreams(seed).stream("churn")),
        costs_(costs_for(policy)),
        cache_(cache_of(policy, costs_)) {}

  void step() {
    const auto act = draw(0, 9);
    if (act < 3) {
      start();
    } else if (!running_.empty()) {
      auto it =
          std::next(running_.begin(), draw(0, static_cast<std::int64_t>(running_.size()) - 1));
      if (act < 8) {
        extend(*it);
      } else if (act == 9) {
        cache_.release(it->sequence);
        running_.erase(it);
      }
    }
    cache_.check();
    for (const PoolSpec& pool : cache_.layout().pools()) {
      REQUIRE(pool.bytes_of(cache_.in_use() + cache_.cached()) <= pool.capacity.value);
    }
    for (const std::int64_t bytes : cache_.in_use().bytes) REQUIRE(bytes >= 0);
    for (const std::int64_t bytes : cache_.cached().bytes) REQUIRE(bytes >= 0);
    const std::int64_t budget = point_budget(cache_.layout(), cache_.policy().retention());
    REQUIRE(cache_.point_bytes().total().value <= budget);
  }

  void drain() {
    for (Running& r : running_) cache_.release(r.sequence);
    running_.clear();
    cache_.check_drained();
  }

  const KvCache& cache() const { return cache_; }

 private:
  static ToyCosts costs_for(const std::string& policy) {
    ToyCosts costs{400, 5, 3, 11, 7};
    if (policy.starts_with("pool=0.2")) costs.windows = 60;  // else in the one pool
    costs.drops_dead_ends = policy.starts_with("pool=0.2");
    return costs;
  }
  struct Running {
    CachedSequence sequence;
    std::int64_t blocks, computed_blocks, family, split;
  };

  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }

  // Sequences of a family share their first `split` blocks.
  void start() {
    const std::int64_t family = draw(0, 5), split = draw(1, 20), tail = draw(1, 12);
    CachedSequence sequence;
    sequence.keys = {{family * 1000, split}, {1'000'000 + 100 * split + family * 10'000, tail}};
    sequence.indexable = split + tail;
    const Tokens length = kBlock * (split + draw(1, tail));
    const Lookup found = cache_.lookup(sequence, length);
    REQUIRE(found.resume.position <= found.cached);
    REQUIRE(found.cached < length);
    // Every byte a hit claims to resume from is there.
    const auto blocks = cache_.layout().blocks(0, found.cached / kBlock, false).total();
    REQUIRE(blocks <= cache_.cached().total() + cache_.in_use().total());
    const KindBytes in_use = cache_.in_use(), cached = cache_.cached();
    if (!cache_.admit(sequence, found, length, Tokens{1}, true)) {
      REQUIRE(cache_.in_use() == in_use);
      REQUIRE(cache_.cached() == cached);
      return;
    }
    cache_.plan_points(sequence, kBlock * split);  // the rest is output
    cache_.reserve_points(sequence, found.resume.position, length);
    running_.push_back({sequence, length / kBlock, found.resume.position / kBlock, family, split});
  }

  void extend(Running& r) {
    if (r.computed_blocks < r.blocks) {
      r.computed_blocks = draw(r.computed_blocks, r.blocks);
      cache_.commit(r.sequence, kBlock * r.computed_blocks);
    } else if (cache_.grow(r.sequence, kBlock * (r.blocks + 1))) {
      cache_.reserve_points(r.sequence, kBlock * r.blocks, kBlock * (r.blocks + 1));
      ++r.blocks;
    }
  }

  RandomEngine engine_;
  ToyCosts costs_;
  KvCache cache_;
  std::list<Running> running_;
};

TEST_CASE("kv cache: memory is never above capacity, and the books balance at the end") {
  for (const std::string policy :
       {"full", "checkpoint=128", "checkpoint=128+ends", "tail", "recompute", "recompute=pyramid",
        "replay", "pool=0.2", "pool=0.2+recompute", "pool=0.5", "pool=0.5+recompute", "reuse",
        "reuse=0.3", "reuse=1"}) {
    CAPTURE(policy);
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      CAPTURE(seed);
      Churn churn(policy, seed);
      for (int i = 0; i < 3000; ++i) churn.step();
      churn.drain();
      CHECK(churn.cache().evicted().total() > Bytes{0});
      CHECK(churn.cache().reused().total() > Bytes{0});
      const bool rebuilds = churn.cache().rebuilt().total() > Bytes{0};
      CHECK(rebuilds == (policy.starts_with("re") || policy.ends_with("+recompute")));
    }
  }
}

TEST_CASE("kv cache: of a chunk longer than the pool of windows the last windows stay") {
  // 20 blocks in one chunk, room for 6 windows: the next lookup resumes at the end, not at block 6.
  ToyCosts costs{1000, 1, 3, 1, 1};
  costs.windows = 18;
  KvCache cache = cache_of("pool=0.3", costs);
  CachedSequence sequence;
  sequence.keys = {{0, 20}};
  sequence.indexable = 20;
  const Tokens length = kBlock * 20;
  const Lookup found = cache.lookup(sequence, length);
  cache.plan_points(sequence, length);
  REQUIRE(cache.admit(sequence, found, length, length, true));
  cache.reserve_points(sequence, Tokens{0}, length);
  cache.commit(sequence, length);
  cache.release(sequence);
  CHECK(cache.lookup(sequence, length + Tokens{1}).resume.position == length);
  cache.check_drained();
}

}  // namespace
}  // namespace v4cap
