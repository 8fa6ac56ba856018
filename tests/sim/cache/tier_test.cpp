// A tier: what it holds, what goes first, how long it lives, and that no byte is lost.
#include "sim/cache/tier.h"

#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <list>
#include <set>
#include <vector>

#include "sim/core/random.h"
#include "tests/dies.h"

namespace v4cap {
namespace {

SimTime at_ns(std::int64_t ns) {
  return kSimStart + Duration{ns};
}

// Blocks take 10 bytes of entries, points 25 of windows.
KindBytes toy_bytes(StoredKind kind, std::int64_t) {
  KindBytes bytes;
  if (kind == StoredKind::block) {
    bytes[CacheKind::csa] = 10;
  } else {
    bytes[CacheKind::swa] = 25;
  }
  return bytes;
}

TierSpec spec_of(std::int64_t capacity) {
  return {.name = "host", .capacity = Bytes{capacity}};
}

StoredObject block(std::int64_t key) {
  return {StoredKind::block, key, key};
}

// Brings a block here; keys of those that went.
std::vector<std::int64_t> bring(Tier& tier, const StoredObject& object, SimTime now) {
  std::vector<Tier::Gone> gone;
  REQUIRE(tier.expect(object, now, gone));
  tier.arrived(object, now);
  std::vector<std::int64_t> keys;
  for (const Tier::Gone& one : gone) keys.push_back(one.object.key);
  return keys;
}

TEST_CASE("tier: what nobody used for longest goes first") {
  Tier tier(spec_of(30), toy_bytes);
  for (std::int64_t key = 1; key <= 3; ++key) CHECK(bring(tier, block(key), at_ns(key)).empty());
  CHECK(tier.use(StoredKind::block, 1, at_ns(4)) == 2);
  CHECK(tier.use(StoredKind::block, 9, at_ns(4)) == 0);
  CHECK(bring(tier, block(4), at_ns(5)) == std::vector<std::int64_t>{2});
  // A point takes the room of three blocks: all go, in order of use.
  CHECK(bring(tier, {StoredKind::point, 4, 4}, at_ns(6)) == std::vector<std::int64_t>{3, 1, 4});
  CHECK(tier.has(StoredKind::point, 4, at_ns(6)));
  CHECK_FALSE(tier.has(StoredKind::block, 4, at_ns(6)));
  tier.check();
  CHECK(tier.books().written.total() == Bytes{65});
  CHECK(tier.books().evicted.total() == Bytes{40});
  CHECK(tier.books().resident[CacheKind::swa] == 25);
  CHECK(tier.books().peak == Bytes{30});
}

TEST_CASE("tier: what comes cannot be read yet, and neither that nor what is read goes") {
  Tier tier(spec_of(20), toy_bytes);
  std::vector<Tier::Gone> gone;
  REQUIRE(tier.expect(block(1), at_ns(0), gone));
  CHECK(tier.knows(StoredKind::block, 1, at_ns(1)));
  CHECK_FALSE(tier.has(StoredKind::block, 1, at_ns(0)));
  bring(tier, block(2), at_ns(1));
  tier.hold(StoredKind::block, 2, toy_bytes(StoredKind::block, 2));
  CHECK_FALSE(tier.expect(block(3), at_ns(2), gone));
  CHECK(gone.empty());
  CHECK(tier.books().refused.total() == Bytes{10});
  tier.check();
  tier.arrived(block(1), at_ns(3));
  tier.release(StoredKind::block, 2, at_ns(4));
  CHECK(bring(tier, block(3), at_ns(5)) == std::vector<std::int64_t>{1});
  CHECK(tier.books().read.total() == Bytes{10});
  tier.check();
}

TEST_CASE("tier: a lost one has nothing, takes nothing, and is back empty, and all is counted") {
  Tier tier(spec_of(100), toy_bytes);
  std::vector<Tier::Gone> gone;
  bring(tier, block(1), at_ns(0));
  bring(tier, {StoredKind::point, 1, 1}, at_ns(0));
  REQUIRE(tier.expect(block(2), at_ns(1), gone));
  CHECK(dies([&] { tier.lose(); }));  // something is coming
  tier.give_up(block(2));
  CHECK(dies([&] { tier.give_up(block(1)); }));  // it is here
  tier.check();
  CHECK(tier.books().lost.total() == Bytes{10});
  tier.lose();
  tier.check();
  CHECK(tier.books().lost.total() == Bytes{45});
  CHECK(tier.books().lost[CacheKind::swa] == 25);
  CHECK(tier.objects() == 0);
  CHECK_FALSE(tier.has(StoredKind::block, 1, at_ns(2)));
  CHECK_FALSE(tier.expect(block(1), at_ns(2), gone));
  CHECK(tier.books().refused.total() == Bytes{10});
  tier.lose();  // once more, with nothing in it
  tier.come_back();
  bring(tier, block(1), at_ns(3));
  CHECK(tier.has(StoredKind::block, 1, at_ns(3)));
  CHECK(gone.empty());
  tier.check();
}

TEST_CASE("tier: blocks and points live for their own time since their last use") {
  TierSpec spec = spec_of(1000);
  spec.to_live = {Duration{100}, Duration{10}};
  Tier tier(spec, toy_bytes);
  bring(tier, block(1), at_ns(0));
  bring(tier, {StoredKind::point, 1, 1}, at_ns(0));
  CHECK(tier.has(StoredKind::point, 1, at_ns(10)));
  CHECK_FALSE(tier.has(StoredKind::point, 1, at_ns(11)));
  CHECK(tier.has(StoredKind::block, 1, at_ns(90)));
  CHECK(tier.use(StoredKind::block, 1, at_ns(90)) == 2);
  CHECK(tier.has(StoredKind::block, 1, at_ns(190)));
  CHECK_FALSE(tier.has(StoredKind::block, 1, at_ns(191)));
  CHECK(tier.books().expired.total() == Bytes{35});
  CHECK(tier.objects() == 0);
  tier.check();
}

TEST_CASE("tier: what has outlived its time is not used, and may come anew") {
  TierSpec spec = spec_of(1000);
  spec.to_live = {Duration{100}, Duration{10}};
  Tier tier(spec, toy_bytes);
  bring(tier, block(1), at_ns(0));
  bring(tier, block(2), at_ns(0));
  CHECK(tier.use(StoredKind::block, 1, at_ns(101)) == 0);
  CHECK_FALSE(tier.knows(StoredKind::block, 2, at_ns(101)));
  CHECK(tier.objects() == 0);
  bring(tier, block(1), at_ns(102));
  CHECK(tier.use(StoredKind::block, 1, at_ns(103)) == 2);
  CHECK(tier.books().written.total() == Bytes{30});
  CHECK(tier.books().expired.total() == Bytes{20});
  tier.check();
}

TEST_CASE("tier: what it does not hold or expect stops the program") {
  TierSpec spec = spec_of(100);
  spec.holds = {true, false};
  Tier tier(spec, toy_bytes);
  std::vector<Tier::Gone> gone;
  CHECK(dies([&] { tier.expect({StoredKind::point, 1, 1}, at_ns(0), gone); }));
  CHECK(dies([&] { tier.arrived(block(1), at_ns(0)); }));
  CHECK(dies([&] { tier.hold(StoredKind::block, 1, {}); }));
  bring(tier, block(1), at_ns(0));
  CHECK(dies([&] { tier.expect(block(1), at_ns(0), gone); }));
}

TEST_CASE("tier: random use agrees with a plain list") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    RandomEngine random = RandomStreams(seed).stream("tier");
    boost::random::uniform_int_distribution<std::int64_t> key_of(0, 30), action(0, 2);
    Tier tier(spec_of(100), toy_bytes);
    std::list<std::int64_t> plain;  // the oldest first; ten blocks fit
    for (int i = 0; i < 400; ++i) {
      const std::int64_t key = key_of(random);
      const SimTime now = at_ns(i);
      const auto it = std::find(plain.begin(), plain.end(), key);
      REQUIRE(tier.has(StoredKind::block, key, now) == (it != plain.end()));
      if (it != plain.end()) {
        if (action(random) == 0) continue;
        plain.erase(it);
        plain.push_back(key);
        tier.use(StoredKind::block, key, now);
        continue;
      }
      const auto gone = bring(tier, block(key), now);
      plain.push_back(key);
      if (plain.size() > 10) {
        REQUIRE(gone == std::vector<std::int64_t>{plain.front()});
        plain.pop_front();
      } else {
        REQUIRE(gone.empty());
      }
      tier.check();
    }
  }
}

}  // namespace
}  // namespace v4cap
