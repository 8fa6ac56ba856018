// What an observer of the cache is told, and in which order.
#include "sim/cache/cache_observer.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"
#include "tests/sim/engine/toy_engine.h"

namespace v4cap {
namespace {

constexpr Tokens kBlock{64};

std::string text(std::int64_t n) {
  return std::to_string(n);
}

class Listener final : public CacheObserver {
 public:
  void admitted(const Admission& a) override {
    say("admitted " + text(a.tag) + ": " + text(a.shared) + " blocks to node " + text(a.cursor) +
        ", at " + text(a.resume.position.value) +
        (a.point == kNoPointId ? "" : " from point " + text(a.point)));
  }
  void grown(std::uint32_t tag, std::int64_t blocks) override {
    say("grown " + text(tag) + ": " + text(blocks));
  }
  void committed(std::uint32_t tag, NodeId cursor, std::int64_t begin, std::int64_t end,
                 std::int64_t adopted) override {
    say("committed " + text(tag) + ": " + text(begin) + " to " + text(end) + ", " + text(adopted) +
        " adopted, node " + text(cursor));
  }
  void released(std::uint32_t tag) override { say("released " + text(tag)); }
  void point_reserved(std::uint32_t tag, Tokens position, PointReason reason) override {
    say(std::string(reason == PointReason::output_end ? "output end " : "reserved ") + text(tag) +
        ": " + text(position.value));
  }
  void point_kept(std::uint32_t tag, Tokens position, PointId point) override {
    say("kept " + text(tag) + ": " + text(position.value) + " as point " + text(point));
  }
  void point_found(std::uint32_t tag, Tokens position) override {
    say("found " + text(tag) + ": " + text(position.value));
  }
  void point_dropped(std::uint32_t tag, Tokens position) override {
    say("dropped " + text(tag) + ": " + text(position.value));
  }
  void node_added(NodeId node, NodeId parent) override {
    say("node " + text(node) + " under " + text(parent));
  }
  void node_split(NodeId rear, NodeId front, std::int64_t count) override {
    say("node " + text(rear) + " split: " + text(count) + " to " + text(front));
  }
  void block_evicted(NodeId node) override { say("block of " + text(node)); }
  void node_erased(NodeId node) override { say("node " + text(node) + " gone"); }
  void point_evicted(PointId point) override { say("point " + text(point) + " gone"); }

  // What was said since the last call.
  std::vector<std::string> heard() { return std::exchange(said_, {}); }

 private:
  void say(std::string line) { said_.push_back(std::move(line)); }
  std::vector<std::string> said_;
};

using Said = std::vector<std::string>;

struct Observed {
  Observed(const std::string& policy, const ToyCosts& costs)
      : cache(std::make_unique<ToyLayout>(costs), make_policy(policy, toy_geometry(), kBlock, {}),
              kBlock) {
    cache.observe(&listener);
  }
  CachedSequence start(std::uint32_t tag, std::vector<KeyRun> keys, Tokens length) {
    CachedSequence s;
    s.tag = tag;
    s.keys = std::move(keys);
    s.indexable = block_count(s.keys);
    cache.plan_points(s, length);
    const Lookup found = cache.lookup(s, length);
    REQUIRE(cache.admit(s, found, length, length, true));
    cache.reserve_points(s, found.resume.position, length);
    return s;
  }
  Listener listener;
  KvCache cache;
};

TEST_CASE("cache observer: admission, growth, commit, adoption, split, release") {
  Observed o("checkpoint=128", {1000, 1, 0, 1, 0});
  CachedSequence a = o.start(0, {{0, 4}}, kBlock * 3);
  CHECK(o.listener.heard() ==
        Said{"admitted 0: 0 blocks to node 0, at 0", "grown 0: 3", "reserved 0: 128"});
  CachedSequence b = o.start(1, {{0, 2}, {50, 1}}, kBlock * 3);
  o.listener.heard();
  o.cache.commit(a, kBlock * 3);
  CHECK(o.listener.heard() ==
        Said{"node 1 under 0", "committed 0: 0 to 3, 0 adopted, node 1", "kept 0: 128 as point 1"});
  o.cache.commit(b, kBlock * 3);
  CHECK(o.listener.heard() == Said{"node 1 split: 2 to 2", "node 3 under 2",
                                   "committed 1: 0 to 3, 2 adopted, node 3", "found 1: 128"});
  REQUIRE(o.cache.grow(a, kBlock * 4));
  CHECK(o.listener.heard() == Said{"grown 0: 1"});
  REQUIRE(o.cache.grow(a, kBlock * 4));
  CHECK(o.listener.heard().empty());
  o.cache.reserve_points(a, kBlock * 3, kBlock * 4);
  o.cache.release(a);
  CHECK(o.listener.heard() == Said{"reserved 0: 256", "dropped 0: 256", "released 0"});
  o.cache.release(b);
  CHECK(o.listener.heard() == Said{"released 1"});
  o.start(5, {{0, 3}, {90, 1}}, kBlock * 4);
  CHECK(o.listener.heard() == Said{"admitted 5: 3 blocks to node 1, at 128 from point 1",
                                   "grown 5: 1", "reserved 5: 256"});
}

TEST_CASE("cache observer: what goes is told before what takes its place") {
  Observed o("checkpoint=128", {9, 1, 0, 1, 0});
  CachedSequence a = o.start(0, {{0, 4}}, kBlock * 4);
  o.cache.commit(a, kBlock * 4);
  o.cache.release(a);
  o.listener.heard();
  // 4 blocks and 2 points are cached, and 8 blocks want to come.
  CachedSequence b = o.start(1, {{100, 8}}, kBlock * 8);
  CHECK(o.listener.heard() == Said{"admitted 1: 0 blocks to node 0, at 0", "point 2 gone",
                                   "block of 1", "block of 1", "point 1 gone", "block of 1",
                                   "grown 1: 8", "block of 1", "node 1 gone", "reserved 1: 128"});
  // One more: the point that is reserved gives way.
  REQUIRE(o.cache.grow(b, kBlock * 9));
  CHECK(o.listener.heard() == Said{"dropped 1: 128", "grown 1: 1"});
}

TEST_CASE("cache observer: ends of outputs") {
  Observed o("tail", {1000, 1, 0, 1, 0});
  CachedSequence a = o.start(0, {{0, 4}}, kBlock * 2);
  o.cache.commit(a, kBlock * 2);
  o.listener.heard();
  for (std::int64_t b = 3; b <= 4; ++b) {
    REQUIRE(o.cache.grow(a, kBlock * b));
    o.cache.commit(a, kBlock * b);
  }
  CHECK(o.listener.heard() == Said{"grown 0: 1", "committed 0: 2 to 3, 0 adopted, node 1",
                                   "output end 0: 192", "grown 0: 1",
                                   "committed 0: 3 to 4, 0 adopted, node 1", "dropped 0: 192",
                                   "output end 0: 256"});
  o.cache.release(a);
  CHECK(o.listener.heard() == Said{"kept 0: 256 as point 2", "released 0"});
}

TEST_CASE("cache observer: a window goes by itself, and its id is used again") {
  Observed o("pool=0.2", {100, 1, 3, 0, 0, 0, 6});  // two windows
  CachedSequence a = o.start(0, {{0, 3}}, kBlock * 3);
  o.listener.heard();
  o.cache.commit(a, kBlock * 3);
  CHECK(o.listener.heard() == Said{"node 1 under 0", "committed 0: 0 to 3, 0 adopted, node 1",
                                   "kept 0: 64 as point 1", "kept 0: 128 as point 2",
                                   "point 1 gone", "kept 0: 192 as point 1"});
}

TEST_CASE("cache observer: an engine tags sequences with their requests' slots") {
  Listener listener;
  const ToyEngine settings;
  const auto engine = settings.make();
  engine->observe(&listener);
  RequestRecord refused;
  engine->submit(toy_request(70, 10, 1, 0), kSimStart, refused);
  engine->submit(toy_request(71, 10, 1, 1000), kSimStart, refused);
  const StepPlan& plan = engine->plan_step(kSimStart);
  REQUIRE(plan.pieces.size() == 2);
  CHECK(plan.pieces[1].request == 1);
  CHECK(listener.heard() == Said{"admitted 0: 0 blocks to node 0, at 0", "grown 0: 1",
                                 "admitted 1: 0 blocks to node 0, at 0", "grown 1: 1"});
  std::vector<RequestRecord> ended;
  engine->finish_step(kSimStart, ended);
  CHECK(listener.heard() == Said{"released 0", "released 1"});
}

}  // namespace
}  // namespace v4cap
