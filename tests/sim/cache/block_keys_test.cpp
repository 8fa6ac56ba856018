// Trace ids to engine block keys: for every nesting of block sizes, two sequences share exactly as
// many leading keys as they share full engine blocks of tokens.
#include "sim/cache/block_keys.h"

#include <doctest/doctest.h>

#include <string>

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <map>
#include <set>

#include "sim/core/random.h"

namespace v4cap {
namespace {

std::vector<std::int64_t> expanded(const std::vector<KeyRun>& runs) {
  std::vector<std::int64_t> keys;
  for (const KeyRun& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) keys.push_back(run.first + i);
  }
  return keys;
}

template <class T>
std::int64_t common_prefix(const std::vector<T>& a, const std::vector<T>& b) {
  std::size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return static_cast<std::int64_t>(n);
}

std::int64_t draw(RandomEngine& engine, std::int64_t low, std::int64_t high) {
  return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine);
}

// Gives chained ids as a trace format does: the id of a block stands for its whole prefix. Ids of a
// new continuation are drawn so that runs of consecutive ids, gaps and large values all occur.
class ChainedIds {
 public:
  explicit ChainedIds(RandomEngine& engine) : engine_(engine) {}

  std::int64_t id(std::int64_t parent, std::int64_t content) {
    const auto [it, fresh] = ids_.try_emplace({parent, content}, next_);
    if (fresh) next_ += draw(engine_, 0, 3) > 0 ? 1 : draw(engine_, 1, std::int64_t{1} << 42);
    return it->second;
  }

 private:
  RandomEngine& engine_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> ids_;
  std::int64_t next_ = 0;
};

// A sequence of trace blocks, each with a content; equal contents in equal places are equal tokens.
std::vector<IdRun> ids_of(ChainedIds& ids, const std::vector<std::int64_t>& contents) {
  std::vector<IdRun> runs;
  std::int64_t parent = -1;
  for (const std::int64_t content : contents) {
    parent = ids.id(parent, content);
    if (!runs.empty() && runs.back().first + runs.back().count == parent) {
      ++runs.back().count;
    } else {
      runs.push_back({parent, 1});
    }
  }
  return runs;
}

TEST_CASE("block keys: shared leading keys are shared full engine blocks, at every ratio") {
  for (const std::int64_t trace_block : {16, 64, 512}) {
    for (const std::int64_t engine_block : {16, 64, 128, 256, 512, 1024}) {
      CAPTURE(trace_block);
      CAPTURE(engine_block);
      RandomEngine engine = RandomStreams(42).stream("block keys");
      ChainedIds ids(engine);
      std::vector<std::vector<std::int64_t>> contents, keys;
      for (int s = 0; s < 60; ++s) {
        // A prefix of an earlier sequence, then blocks of its own.
        std::vector<std::int64_t> c;
        if (s > 0) {
          const auto& from = contents[static_cast<std::size_t>(draw(engine, 0, s - 1))];
          const auto kept = draw(engine, 0, static_cast<std::int64_t>(from.size()));
          c.assign(from.begin(), from.begin() + kept);
        }
        for (std::int64_t n = draw(engine, 0, 150); n > 0; --n) c.push_back(draw(engine, 0, 999));
        std::vector<KeyRun> runs;
        const std::int64_t blocks =
            static_cast<std::int64_t>(c.size()) * trace_block / engine_block;
        append_keys(ids_of(ids, c), Tokens{trace_block}, Tokens{engine_block}, blocks, runs);
        contents.push_back(c);
        keys.push_back(expanded(runs));
        REQUIRE(static_cast<std::int64_t>(keys.back().size()) == blocks);
      }
      for (std::size_t a = 0; a < keys.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
          const std::int64_t tokens = common_prefix(contents[a], contents[b]) * trace_block;
          REQUIRE(common_prefix(keys[a], keys[b]) == tokens / engine_block);
          // No key is met again beyond the common prefix: below one parent it would be a false hit.
          const auto rest = tokens / engine_block;
          const std::set<std::int64_t> of_a(keys[a].begin() + rest, keys[a].end());
          REQUIRE(std::none_of(keys[b].begin() + rest, keys[b].end(),
                               [&](std::int64_t key) { return of_a.count(key) > 0; }));
        }
      }
    }
  }
}

TEST_CASE("block keys: a run of ids stays one run of keys at every ratio") {
  for (const std::int64_t engine_block : {16, 64, 256, 1024}) {
    CAPTURE(engine_block);
    std::vector<KeyRun> keys;
    const IdRun run{1'000'000, 4096};
    append_keys({&run, 1}, Tokens{64}, Tokens{engine_block}, 4096 * 64 / engine_block, keys);
    CHECK(keys.size() == 1);
  }
}

TEST_CASE("block keys: large ids of different remainders do not meet") {
  struct Row {
    std::string name;
    std::int64_t a, b;  // first of the two ids of an engine block
  };
  const Row rows[] = {
      {"neighbours", 0, 1},
      {"2^41 apart", (std::int64_t{1} << 41) - 1, 0},
      {"the largest id of a file", (std::int64_t{1} << 48) - 1, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::set<std::int64_t> seen;
    for (const std::int64_t first : {row.a, row.b, row.a + 1, row.b + 1}) {
      const IdRun run{first, 2};
      std::vector<KeyRun> keys;
      append_keys({&run, 1}, Tokens{64}, Tokens{128}, 1, keys);
      REQUIRE(keys.size() == 1);
      seen.insert(keys.front().first);
    }
    const std::set<std::int64_t> named = {row.a + 1, row.b + 1, row.a + 2, row.b + 2};
    CHECK(seen.size() == named.size());
  }
}

TEST_CASE("block keys: ids up to the bound have keys apart from each other and from private ones") {
  for (const std::int64_t engine_block : {16, 512, 1024, 8192}) {
    CAPTURE(engine_block);
    const std::int64_t bound = id_bound(Tokens{512}, Tokens{engine_block});
    std::set<std::int64_t> seen;
    for (const std::int64_t id :
         {bound - 1, bound - 2, bound / 2, std::int64_t{1}, std::int64_t{0}}) {
      const IdRun run{id, 1};
      std::vector<KeyRun> keys;
      // The id names the last block that it completes: others of its block come before it.
      std::vector<IdRun> ids = {{7, std::max<std::int64_t>(1, engine_block / 512) - 1}, run};
      append_keys(ids, Tokens{512}, Tokens{engine_block}, 1'000'000, keys);
      const auto all = expanded(keys);
      seen.insert(all.begin(), all.end());
    }
    CHECK(seen.size() ==
          5 * static_cast<std::size_t>(std::max<std::int64_t>(1, 512 / engine_block)));
    CHECK(*seen.begin() >= 0);
    CHECK(*seen.rbegin() < std::int64_t{1} << 60);
  }
}

TEST_CASE("block sizes nest or do not") {
  struct Row {
    std::int64_t trace, engine;
    bool nest;
  };
  for (const Row& row : {Row{16, 256, true},
                         {512, 64, true},
                         {64, 64, true},
                         {0, 100, true},
                         {48, 64, false},
                         {512, 768, false},
                         {100, 150, false}}) {
    CAPTURE(row.trace);
    CAPTURE(row.engine);
    CHECK(blocks_compatible(Tokens{row.trace}, Tokens{row.engine}) == row.nest);
  }
}

// One request with the given ids, perhaps continued by a second one.
Trace trace_of(std::int64_t block, Tokens prompt, Tokens output, std::vector<IdRun> ids) {
  Trace trace;
  trace.block = Tokens{block};
  TraceRequest r;
  r.prompt = prompt;
  r.output = output;
  r.runs_end = static_cast<std::uint32_t>(ids.size());
  trace.runs = std::move(ids);
  trace.requests.push_back(r);
  return trace;
}

void continue_with(Trace& trace, std::uint32_t earlier, Tokens prompt, std::vector<IdRun> ids) {
  TraceRequest r;
  r.prompt = prompt;
  r.output = Tokens{1};
  r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
  trace.runs.insert(trace.runs.end(), ids.begin(), ids.end());
  r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
  trace.requests[earlier].continued_by = static_cast<std::uint32_t>(trace.requests.size());
  trace.requests.push_back(r);
}

std::vector<std::int64_t> keys_of(const Trace& trace, std::uint32_t request, std::int64_t block) {
  std::vector<IdRun> scratch;
  std::vector<KeyRun> keys;
  sequence_keys(trace, request, Tokens{block}, scratch, keys);
  return expanded(keys);
}

TEST_CASE("sequence keys: a partial last id names its full engine blocks and no more") {
  // Mooncake: 1,300 tokens are ids of 512, 512 and 276 tokens.
  const Trace trace = trace_of(512, Tokens{1300}, Tokens{900}, {{10, 3}});
  CHECK(keys_of(trace, 0, 256).size() == (1300 + 900) / 256);
  const Trace other = trace_of(512, Tokens{1300}, Tokens{0}, {{10, 3}});
  CHECK(keys_of(other, 0, 256).size() == 5);  // the sixth block of 256 is not full
  CHECK(common_prefix(keys_of(trace, 0, 256), keys_of(other, 0, 256)) == 5);
  CHECK(keys_of(other, 0, 1024).size() == 1);
  CHECK(keys_of(other, 0, 512).size() == 2);
}

TEST_CASE("sequence keys: output that a later prompt continues has that prompt's keys") {
  for (const std::int64_t engine_block : {16, 64, 128, 256}) {
    CAPTURE(engine_block);
    // 200 tokens of prompt (3 full blocks of 64), 250 of output, then a prompt of 640.
    Trace trace = trace_of(64, Tokens{200}, Tokens{250}, {{0, 3}});
    continue_with(trace, 0, Tokens{640}, {{0, 3}, {100, 7}});
    const auto first = keys_of(trace, 0, engine_block), second = keys_of(trace, 1, engine_block);
    CHECK(static_cast<std::int64_t>(first.size()) == 450 / engine_block);
    // The output is named as far as full trace blocks go: 448 tokens.
    CHECK(common_prefix(first, second) == 448 / engine_block);
  }
}

TEST_CASE("sequence keys: a continued prompt gives up the id of its partial last block") {
  // 600 tokens: ids 5 and, for 88 tokens, 6. The continuation names the second block 77.
  Trace trace = trace_of(512, Tokens{600}, Tokens{700}, {{5, 2}});
  continue_with(trace, 0, Tokens{1536}, {{5, 1}, {77, 2}});
  const auto first = keys_of(trace, 0, 256), second = keys_of(trace, 1, 256);
  CHECK(first.size() == 5);
  CHECK(common_prefix(first, second) == 4);
}

TEST_CASE("sequence keys: what nobody continues is shared with nobody") {
  Trace trace = trace_of(64, Tokens{640}, Tokens{640}, {{0, 10}});
  trace.requests.push_back(trace.requests[0]);
  const auto first = keys_of(trace, 0, 64), second = keys_of(trace, 1, 64);
  CHECK(first.size() == 20);
  CHECK(common_prefix(first, second) == 10);
  std::set<std::int64_t> all(first.begin() + 10, first.end());
  all.insert(second.begin() + 10, second.end());
  CHECK(all.size() == 20);
}

TEST_CASE("sequence keys: a trace without ids shares nothing, however long its requests") {
  Trace trace = trace_of(0, Tokens{std::int64_t{1} << 24}, Tokens{std::int64_t{1} << 24}, {});
  trace.requests.push_back(trace.requests[0]);
  std::vector<IdRun> scratch;
  std::vector<KeyRun> a, b;
  sequence_keys(trace, 0, Tokens{16}, scratch, a);
  sequence_keys(trace, 1, Tokens{16}, scratch, b);
  REQUIRE(a.size() == 1);
  REQUIRE(b.size() == 1);
  CHECK(a[0].count == (std::int64_t{1} << 25) / 16);
  CHECK(a[0].first + a[0].count <= b[0].first);
}

}  // namespace
}  // namespace v4cap
