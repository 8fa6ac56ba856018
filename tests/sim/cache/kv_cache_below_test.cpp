// The KV cache over tiers: what a hit finds below GPU memory, what it reads there, and where it then
// resumes.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"

namespace v4cap {
namespace {

constexpr Tokens kBlock{64};

CachedSequence sequence_of(std::int64_t key, std::int64_t blocks) {
  CachedSequence sequence;
  sequence.keys = {{key, blocks}};
  sequence.indexable = blocks;
  return sequence;
}

// A GPU for few blocks over a tier that takes everything, and one below that for what it does not
// hold. 10 a block, 4 for its windows where they are stored, 30 a point.
class World {
 public:
  World(const std::string& policy, std::int64_t capacity,
        std::array<bool, kStoredKinds> first_holds = {true, true})
      : cache_(std::make_unique<ToyLayout>(ToyCosts{capacity, 10, 4, 30, 0}),
               make_policy(policy, toy_geometry(2), kBlock, std::nullopt), kBlock) {
    std::vector<TierStack::Level> levels;
    for (const char* name : {"host", "ssd"}) {
      TierSpec spec{.name = name, .capacity = Bytes{100'000}};
      if (levels.empty()) spec.holds = first_holds;
      levels.push_back(
          {std::make_shared<Tier>(spec, cache_.stored()), make_write_policy("write_through")});
    }
    cache_.attach(std::make_unique<TierStack>(std::move(levels)));
  }

  KvCache& cache() { return cache_; }

  void perform() {
    std::vector<TransferOrder> orders;
    do {
      orders.clear();
      cache_.tiers()->take_orders(orders);
      for (const TransferOrder& order : orders) cache_.tiers()->performed(order.id);
    } while (!orders.empty());
  }

  // Computes a sequence alone and leaves it in the cache.
  void store(std::int64_t key, std::int64_t blocks) {
    CachedSequence sequence = sequence_of(key, blocks);
    REQUIRE(admit(sequence, kBlock * blocks));
    cache_.reserve_points(sequence, Tokens{0}, kBlock * blocks);
    cache_.commit(sequence, kBlock * blocks);
    cache_.release(sequence);
    perform();
  }

  bool admit(CachedSequence& sequence, Tokens length) {
    cache_.plan_points(sequence, length);
    return cache_.admit(sequence, cache_.lookup(sequence, length), length, Tokens{1}, true);
  }

 private:
  KvCache cache_;
};

TEST_CASE("kv cache below: an evicted prefix is found, loaded and hit where it was kept") {
  struct Row {
    std::string policy;
    std::int64_t other;            // blocks of what pushes it out
    std::int64_t resume, rebuild;  // with all that is found, of 8 cached blocks
    std::int64_t read_csa, read_swa;
  };
  const Row rows[] = {
      {"full", 20, 512, 0, 80, 30},            // of the windows only the last one is read
      {"checkpoint=128", 20, 512, 0, 80, 30},  // a point after every second block
      {"checkpoint=192", 20, 384, 0, 60,
       30},  // the last point is at block 6: two blocks stay below
      {"replay", 28, 512, 128, 80, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    World world(row.policy, 300);
    KvCache& cache = world.cache();
    world.store(0, 8);
    world.store(1000, row.other);
    CachedSequence again = sequence_of(0, 12);
    const Tokens length = kBlock * 12;
    const Lookup gpu = cache.lookup(again, length);
    CHECK(gpu.cached < kBlock * 8);
    const auto below = cache.look_below(again, length);
    REQUIRE(below);
    CHECK(below->resume.position == Tokens{row.resume});
    CHECK(below->resume.rebuild == Tokens{row.rebuild});
    CHECK(below->tokens[0] == below->resume.position - gpu.cached);
    int orders = 0;
    REQUIRE(cache.begin_load(again, *below, true, orders));
    CHECK(orders == 1);
    world.perform();
    const KindBytes& read = cache.tiers()->tier(0).books().read;
    CHECK(read[CacheKind::csa] == row.read_csa - gpu.match.blocks * 10);
    CHECK(read[CacheKind::swa] == row.read_swa);
    cache.finish_load(again);
    CHECK(again.pinned);
    CHECK(cache.in_use().total().value > 0);
    REQUIRE(cache.lookup(again, length).resume.position == Tokens{row.resume});
    CHECK_FALSE(cache.look_below(again, length));
    REQUIRE(world.admit(again, length));
    cache.commit(again, length);
    cache.release(again);
    cache.check_drained();
    world.perform();
    CHECK(cache.tiers()->open_orders() == 0);
  }
}

TEST_CASE("kv cache below: blocks and points may lie in different tiers, and both are needed") {
  // Host memory holds points only: blocks go to the second tier.
  World world("checkpoint=128", 300, {false, true});
  world.store(0, 8);
  world.store(1000, 16);
  CachedSequence again = sequence_of(0, 12);
  const auto below = world.cache().look_below(again, kBlock * 12);
  REQUIRE(below);
  CHECK(below->resume.position == kBlock * 8);
  CHECK(below->tokens[0] == Tokens{0});
  CHECK(below->tokens[1] > Tokens{0});
  REQUIRE_FALSE(below->points.empty());
  int orders = 0;
  REQUIRE(world.cache().begin_load(again, *below, true, orders));
  CHECK(orders == 2);  // one for each tier: the request waits for the slower
  world.perform();
  CHECK(world.cache().points_below()[0] == 0);  // counted when it is there
  world.cache().finish_load(again);
  CHECK(world.cache().points_below()[0] == 1);
  world.cache().unpin(again);
  world.cache().check_drained();
}

TEST_CASE("kv cache below: without room for what is found nothing changes") {
  World world("full", 14 * 12);
  KvCache& cache = world.cache();
  world.store(0, 8);
  world.store(1000, 12);
  CachedSequence runs = sequence_of(2000, 6);
  REQUIRE(world.admit(runs, kBlock * 6));
  CachedSequence again = sequence_of(0, 10);
  const auto below = cache.look_below(again, kBlock * 10);
  REQUIRE(below);
  const KindBytes in_use = cache.in_use();
  int orders = 0;
  CHECK_FALSE(cache.begin_load(again, *below, true, orders));
  CHECK(cache.in_use() == in_use);
  CHECK(cache.tokens_below()[0] == Tokens{0});
  CHECK(cache.tiers()->tier(0).books().read == KindBytes{});
  cache.release(runs);
  REQUIRE(cache.begin_load(again, *below, true, orders));
  world.perform();
  cache.finish_load(again);
  cache.unpin(again);
  cache.check_drained();
}

}  // namespace
}  // namespace v4cap
