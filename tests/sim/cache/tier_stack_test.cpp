// Tiers below one another: what is copied down when, what a load reads and leaves on its way.
#include "sim/cache/tier_stack.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

namespace v4cap {
namespace {

KindBytes ten(StoredKind, std::int64_t) {
  KindBytes bytes;
  bytes[CacheKind::csa] = 10;
  return bytes;
}

StoredObject block(std::int64_t key) {
  return {StoredKind::block, key, key};
}

// Host memory for three blocks over an SSD for a hundred.
struct Two {
  std::shared_ptr<Tier> host, ssd;
  TierStack stack;

  Two(const std::string& to_host, const std::string& to_ssd,
      std::array<bool, kStoredKinds> in_host = {true, true})
      : host(std::make_shared<Tier>(
            TierSpec{.name = "host", .capacity = Bytes{30}, .holds = in_host}, ten)),
        ssd(std::make_shared<Tier>(TierSpec{.name = "ssd", .capacity = Bytes{1000}}, ten)),
        stack(levels(to_host, to_ssd)) {}

  // Performs what was ordered, and what that orders; all orders in turn.
  std::vector<TransferOrder> perform() {
    std::vector<TransferOrder> all, now;
    do {
      now.clear();
      stack.take_orders(now);
      for (const TransferOrder& order : now) stack.performed(order.id);
      all.insert(all.end(), now.begin(), now.end());
    } while (!now.empty());
    stack.check();
    return all;
  }

 private:
  std::vector<TierStack::Level> levels(const std::string& to_host, const std::string& to_ssd) {
    std::vector<TierStack::Level> out;
    out.push_back({host, make_write_policy(to_host)});
    out.push_back({ssd, make_write_policy(to_ssd)});
    return out;
  }
};

TEST_CASE("tier stack: write through goes all the way down, once") {
  Two two("write_through", "write_through");
  two.stack.used(block(1));
  const auto orders = two.perform();
  REQUIRE(orders.size() == 2);
  CHECK(orders[0].from == kGpuLevel);
  CHECK(orders[0].to == 0);
  CHECK(orders[0].bytes == Bytes{10});
  CHECK(orders[1].from == 0);
  CHECK(orders[1].to == 1);
  two.stack.used(block(1));
  two.stack.left(block(1));
  CHECK(two.perform().empty());
  CHECK(two.stack.find(StoredKind::block, 1) == 0);
}

TEST_CASE("tier stack: what has outlived its time below is written again when it is used again") {
  for (const std::string policy : {"write_through", "selective=2", "write_back"}) {
    CAPTURE(policy);
    TierSpec spec{.name = "ssd", .capacity = Bytes{1000}};
    spec.to_live = {Duration{100}, {}};
    const auto ssd = std::make_shared<Tier>(spec, ten);
    std::vector<TierStack::Level> levels;
    levels.push_back({ssd, make_write_policy(policy)});
    TierStack stack(std::move(levels));
    std::vector<TransferOrder> orders;
    for (const std::int64_t at : {0, 50, 151}) {
      stack.set_time(kSimStart + Duration{at});
      stack.used(block(1));
      stack.used(block(1));
      stack.left(block(1));
      orders.clear();
      stack.take_orders(orders);
      REQUIRE(orders.size() == (at == 50 ? 0 : 1));
      for (const TransferOrder& order : orders) stack.performed(order.id);
    }
    stack.check();
    CHECK(ssd->books().written.total() == Bytes{20});
    CHECK(ssd->books().expired.total() == Bytes{10});
  }
}

TEST_CASE("tier stack: write back copies what leaves, and evicted blocks go further down") {
  Two two("write_back", "write_back");
  for (std::int64_t key = 1; key <= 5; ++key) two.stack.used(block(key));
  CHECK(two.perform().empty());
  for (std::int64_t key = 1; key <= 3; ++key) two.stack.left(block(key));
  REQUIRE(two.perform().size() == 1);
  CHECK(two.ssd->objects() == 0);
  // Blocks that came in one order were used in the order of a prefix: its end is the oldest.
  two.stack.left(block(4));
  const auto orders = two.perform();
  REQUIRE(orders.size() == 2);
  CHECK(orders[1].from == 0);
  CHECK(orders[1].to == 1);
  CHECK(two.stack.find(StoredKind::block, 3) == 1);
  CHECK(two.stack.find(StoredKind::block, 4) == 0);
  CHECK_FALSE(two.stack.has(StoredKind::block, 5));
}

TEST_CASE("tier stack: selective copies with the second use and forgets what is used once") {
  Two two("selective=2", "write_back");
  two.stack.used(block(1));
  two.stack.used(block(2));
  two.stack.used(block(2));
  const auto orders = two.perform();
  REQUIRE(orders.size() == 1);
  CHECK(orders[0].bytes == Bytes{10});
  CHECK(two.stack.has(StoredKind::block, 2));
  two.stack.left(block(1));
  two.stack.used(block(1));  // its first use again
  CHECK(two.perform().empty());
}

TEST_CASE("tier stack: uses of what was lost with the GPU are forgotten") {
  Two two("selective=2", "write_back");
  two.stack.used(block(1));
  two.stack.gpu_lost();
  two.stack.used(block(1));
  CHECK(two.perform().empty());
  two.stack.used(block(1));
  CHECK(two.perform().size() == 1);
}

TEST_CASE("tier stack: a tier may take only every so many points of a prefix") {
  const auto sparse = std::make_shared<Tier>(
      TierSpec{.name = "ssd", .capacity = Bytes{1000}, .points_every = 4}, ten);
  std::vector<TierStack::Level> levels;
  levels.push_back({std::make_shared<Tier>(TierSpec{.name = "host", .capacity = Bytes{1000}}, ten),
                    make_write_policy("write_through")});
  levels.push_back({sparse, make_write_policy("write_through")});
  TierStack stack(std::move(levels));
  for (std::int64_t block = 0; block < 12; ++block) {
    stack.used({StoredKind::block, 100 + block, block});
    stack.used({StoredKind::point, 100 + block, block});
  }
  std::vector<TransferOrder> orders;
  do {
    orders.clear();
    stack.take_orders(orders);
    for (const TransferOrder& order : orders) stack.performed(order.id);
  } while (!orders.empty());
  stack.check();
  for (std::int64_t block = 0; block < 12; ++block) {
    CAPTURE(block);
    CHECK(stack.tier(0).knows(StoredKind::point, 100 + block, kSimStart));
    CHECK(sparse->knows(StoredKind::block, 100 + block, kSimStart));
    CHECK(sparse->knows(StoredKind::point, 100 + block, kSimStart) == (block % 4 == 3));
  }
}

TEST_CASE("tier stack: an object passes a tier that does not hold its kind") {
  Two two("write_through", "write_through", {false, true});
  two.stack.used(block(1));
  two.stack.used({StoredKind::point, 1, 1});
  const auto orders = two.perform();
  REQUIRE(orders.size() == 3);
  CHECK(orders[0].to == 0);  // the point
  CHECK(orders[1].from == kGpuLevel);
  CHECK(orders[1].to == 1);  // the block, over both links
  CHECK(orders[2].from == 0);
  CHECK(two.stack.find(StoredKind::block, 1) == 1);
  CHECK(two.stack.find(StoredKind::point, 1) == 0);
}

TEST_CASE("tier stack: a load reads each tier at once and leaves copies on the way up") {
  Two two("write_back", "write_back");
  for (std::int64_t key = 1; key <= 4; ++key) {
    two.stack.used(block(key));
    two.stack.left(block(key));
    two.perform();
  }
  REQUIRE(two.stack.find(StoredKind::block, 1) == 1);
  REQUIRE(two.stack.find(StoredKind::block, 2) == 0);
  KindBytes half;
  half[CacheKind::csa] = 5;
  CHECK(two.stack.load(7, {{block(1), 1, half}, {block(2), 0, ten({}, 0)}}) == 2);
  std::vector<TransferOrder> orders;
  two.stack.take_orders(orders);
  // Block 1 takes the place of block 3 in host memory, the oldest that is not read, which goes down.
  REQUIRE(orders.size() == 3);
  CHECK(orders[0].load());
  CHECK(orders[0].from == 0);
  CHECK(orders[0].tag == 7);
  CHECK(orders[1].from == 1);
  CHECK(orders[1].bytes == Bytes{5});
  CHECK(orders[2].from == 0);
  CHECK(orders[2].to == 1);
  CHECK(two.stack.find(StoredKind::block, 1) == 1);  // not there yet
  for (const TransferOrder& order : orders) two.stack.performed(order.id);
  CHECK(two.stack.find(StoredKind::block, 1) == 0);
  CHECK(two.stack.find(StoredKind::block, 3) == 1);
  CHECK(two.ssd->books().read.total() == Bytes{5});
  CHECK(two.stack.open_orders() == 0);
  two.stack.check();
}

TEST_CASE("tier stack: orders that are broken off leave nothing behind and hold nothing") {
  Two two("write_back", "write_back");
  for (std::int64_t key = 1; key <= 4; ++key) {
    two.stack.used(block(key));
    two.stack.left(block(key));
    two.perform();
  }
  REQUIRE(two.stack.find(StoredKind::block, 1) == 1);
  two.stack.load(7, {{block(1), 1, ten({}, 0)}, {block(2), 0, ten({}, 0)}});
  std::vector<TransferOrder> orders;
  two.stack.take_orders(orders);
  REQUIRE(orders.size() == 3);  // of block 2, of block 1, and block 3 down to the SSD
  const Bytes written = two.host->books().written.total();
  for (const TransferOrder& order : orders) two.stack.broken_off(order.id);
  CHECK(two.stack.open_orders() == 0);
  CHECK(two.stack.find(StoredKind::block, 1) == 1);  // its copy on the way up is gone
  CHECK(two.stack.find(StoredKind::block, 2) == 0);
  CHECK_FALSE(two.stack.has(StoredKind::block, 3));
  CHECK(two.host->books().lost.total() == Bytes{10});
  CHECK(two.host->books().written.total() == written);
  CHECK(two.ssd->books().lost.total() == Bytes{10});
  two.host->lose();  // nothing is held
  two.ssd->lose();
  two.stack.check();
}

TEST_CASE(
    "tier stack: a load that goes on forgets the tier that it read, and what it leaves there") {
  Two two("write_back", "write_back");
  for (std::int64_t key = 1; key <= 4; ++key) {
    two.stack.used(block(key));
    two.stack.left(block(key));
    two.perform();
  }
  two.stack.load(7, {{block(1), 1, ten({}, 0)}, {block(2), 0, ten({}, 0)}});
  std::vector<TransferOrder> orders;
  two.stack.take_orders(orders);
  REQUIRE(orders.size() == 3);
  two.stack.broken_off(orders[2].id);
  two.stack.forget(0);
  two.host->lose();
  two.stack.performed(orders[0].id);
  two.stack.performed(orders[1].id);
  CHECK(two.stack.open_orders() == 0);
  CHECK(two.host->objects() == 0);
  CHECK(two.stack.find(StoredKind::block, 1) == 1);
  two.stack.check();
}

}  // namespace
}  // namespace v4cap
