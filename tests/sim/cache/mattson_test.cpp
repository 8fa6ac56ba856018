// The prefix cache against theory. With one request at a time, policy `full` and a capacity in
// blocks it is an LRU stack, so a block is hit at capacity C exactly when at most C - 1 other
// blocks were used since (Mattson, Gecsei, Slutz, Traiger 1970). One pass over the trace with a
// Fenwick tree gives the hits at every capacity, without any of the cache's code.
#include <doctest/doctest.h>

#include <array>
#include <unordered_map>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "tests/data.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"
#include "traces/reader.h"

namespace v4cap {
namespace {

using Blocks = std::vector<std::int64_t>;  // ids of the full blocks of one prompt

std::vector<Blocks> full_blocks(const Trace& trace) {
  std::vector<Blocks> prompts;
  for (const TraceRequest& r : trace.requests) {
    Blocks ids;
    for (const IdRun& run : trace.runs_of(r)) {
      for (std::int64_t i = 0; i < run.count; ++i) ids.push_back(run.first + i);
    }
    ids.resize(static_cast<std::size_t>(r.prompt / trace.block));  // not the partial last one
    prompts.push_back(ids);
  }
  return prompts;
}

// Counts of marked places, as prefix sums.
class Fenwick {
 public:
  explicit Fenwick(std::size_t n) : tree_(n + 1) {}
  void add(std::size_t place, std::int64_t x) {
    for (std::size_t i = place + 1; i < tree_.size(); i += i & (~i + 1)) tree_[i] += x;
  }
  std::int64_t before(std::size_t place) const {
    std::int64_t sum = 0;
    for (std::size_t i = place; i > 0; i -= i & (~i + 1)) sum += tree_[i];
    return sum;
  }

 private:
  std::vector<std::int64_t> tree_;
};

// Stack distance of every known block, taken in the stack before its request; afterwards the
// request's blocks are on top, the first one youngest.
std::vector<std::int64_t> stack_distances(const std::vector<Blocks>& prompts) {
  std::size_t uses = 0;
  for (const Blocks& ids : prompts) uses += ids.size();
  Fenwick marked(uses);  // time of each block's last use
  std::unordered_map<std::int64_t, std::size_t> last_use;
  std::vector<std::int64_t> distances;
  std::size_t now = 0;
  for (const Blocks& ids : prompts) {
    const auto known = static_cast<std::int64_t>(last_use.size());
    for (const std::int64_t id : ids) {
      const auto at = last_use.find(id);
      if (at == last_use.end()) break;
      distances.push_back(known - marked.before(at->second));
    }
    for (auto id = ids.rbegin(); id != ids.rend(); ++id, ++now) {
      const auto [at, fresh] = last_use.try_emplace(*id, now);
      if (!fresh) marked.add(std::exchange(at->second, now), -1);
      marked.add(now, 1);
    }
  }
  return distances;
}

// Hit blocks of the cache at a capacity of so many blocks.
std::int64_t cache_hits(const std::vector<Blocks>& prompts, std::int64_t capacity) {
  constexpr Tokens kBlock{512};
  KvCache cache(std::make_unique<ToyLayout>(ToyCosts{capacity, 1, 0, 0, 0}),
                make_policy("full", toy_geometry(), kBlock, std::nullopt), kBlock);
  std::int64_t hits = 0;
  for (const Blocks& ids : prompts) {
    if (ids.empty()) continue;
    CachedSequence sequence;
    for (const std::int64_t id : ids) sequence.keys.push_back({id, 1});
    sequence.indexable = static_cast<std::int64_t>(ids.size());
    const Tokens length = kBlock * sequence.indexable;
    // One token follows, so that all full blocks may be hit; it takes no block here.
    const Lookup found = cache.lookup(sequence, length + Tokens{1});
    hits += found.match.blocks;
    REQUIRE(cache.admit(sequence, found, length, Tokens{1}, true));
    cache.commit(sequence, length);
    cache.release(sequence);
  }
  cache.check_drained();
  return hits;
}

DATA_TEST_CASE("prefix cache: hits equal Mattson's stack distances at five capacities") {
  const auto file = data_dir() / "traces/mooncake-conversation/trace.jsonl.gz";
  const auto prompts = full_blocks(read_trace(file.string()));
  const auto distances = stack_distances(prompts);
  std::int64_t previous = -1;
  // The longest prompt has 243 full blocks, the whole trace 140,684 blocks.
  for (const std::int64_t capacity : {256, 1'024, 4'096, 16'384, 65'536}) {
    CAPTURE(capacity);
    std::int64_t expected = 0;
    for (const std::int64_t distance : distances) expected += distance <= capacity ? 1 : 0;
    CHECK(expected > previous);
    CHECK(cache_hits(prompts, capacity) == expected);
    previous = expected;
  }
}

TEST_CASE("stack distances of a small example, by hand") {
  // Stacks, youngest first: [1 2 3] -> [1 4 2 3] -> [5 1 4 2 3] -> ...
  CHECK(stack_distances({{1, 2, 3}, {1, 4}, {5}, {1, 2, 3}, {5}}) ==
        std::vector<std::int64_t>{1, 2, 4, 5, 4});
}

}  // namespace
}  // namespace v4cap
