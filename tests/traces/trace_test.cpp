// Continuations, generated ids and the ideal hit rate, on small traces made by hand and on random
// ones against computations that look at single ids.
#include "traces/trace.h"

#include <doctest/doctest.h>

#include <boost/random/uniform_int_distribution.hpp>
#include <set>

#include "sim/core/random.h"
#include "tests/data.h"
#include "traces/id_set.h"
#include "traces/prefix_stats.h"
#include "traces/reader.h"
#include "traces/trace_builder.h"

namespace v4cap {
namespace {

struct Prompt {
  std::int64_t prompt, output;
  std::vector<IdRun> runs;
};

// One session with blocks of 10 tokens.
Trace session_of(const std::vector<Prompt>& prompts) {
  TraceBuilder builder({}, Tokens{10});
  builder.trace().has_sessions = true;
  const std::int32_t session = builder.session("s");
  for (const Prompt& p : prompts) {
    builder.add(Tokens{p.prompt}, Tokens{p.output});
    builder.join_session(session);
    for (const IdRun& run : p.runs) builder.add_run(run.first, run.count);
  }
  return builder.finish();
}

TEST_CASE("a request is continued by the first later one that holds its blocks and its output") {
  struct Row {
    const char* name;
    Prompt later;
    bool continues;
  };
  // The earlier prompt: 25 tokens, ids 0 and 1, 10 tokens of output.
  const Row rows[] = {
      {"exactly long enough", {35, 0, {{0, 3}}}, true},
      {"a token short", {34, 0, {{0, 3}}}, false},
      {"another first block", {40, 0, {{7, 1}, {1, 3}}}, false},
      {"another last block", {40, 0, {{0, 1}, {8, 3}}}, false},
      {"its runs are cut elsewhere", {40, 0, {{0, 2}, {9, 2}}}, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Trace trace = session_of({{25, 10, {{0, 2}}}, row.later});
    CHECK(trace.requests[0].continued_by == (row.continues ? 1U : kNoRequest));
    CHECK(trace.requests[1].continued_by == kNoRequest);
  }
  const Trace skips =
      session_of({{25, 10, {{0, 2}}}, {30, 1, {{50, 3}}}, {40, 1, {{0, 4}}}, {60, 1, {{0, 6}}}});
  CHECK(skips.requests[0].continued_by == 2);
  CHECK(skips.requests[1].continued_by == kNoRequest);
  CHECK(skips.requests[2].continued_by == 3);
  CHECK(session_of({{9, 1, {}}, {30, 1, {{0, 3}}}}).requests[0].continued_by == kNoRequest);
}

TEST_CASE("requests of other sessions continue nothing") {
  TraceBuilder builder({}, Tokens{10});
  builder.trace().has_sessions = true;
  for (const char* name : {"a", "b"}) {
    builder.add(Tokens{20}, Tokens{0});
    builder.join_session(builder.session(name));
    builder.add_run(0, 2);
  }
  CHECK(builder.finish().requests[0].continued_by == kNoRequest);
}

TEST_CASE("generated tokens get the ids of the prompt that continues them") {
  struct Row {
    const char* name;
    std::int64_t prompt, output;
    std::vector<IdRun> first, later, expected;
  };
  const Row rows[] = {
      {"the partial block and one more", 25, 15, {{0, 2}}, {{0, 5}}, {{2, 2}}},
      {"output ends inside a block", 25, 14, {{0, 2}}, {{0, 5}}, {{2, 1}}},
      {"output fits into the partial block", 25, 4, {{0, 2}}, {{0, 5}}, {}},
      {"no output", 30, 0, {{0, 3}}, {{0, 5}}, {}},
      {"over several runs", 10, 40, {{0, 1}}, {{0, 1}, {20, 2}, {30, 2}}, {{20, 2}, {30, 2}}},
      {"from the middle of a run", 20, 21, {{0, 2}}, {{0, 3}, {40, 2}}, {{2, 1}, {40, 1}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Trace trace = session_of({{row.prompt, row.output, row.first}, {50, 5, row.later}});
    REQUIRE(trace.requests[0].continued_by == 1);
    std::vector<IdRun> found;
    append_output_ids(trace, trace.requests[0], found);
    CHECK(found == row.expected);
    append_output_ids(trace, trace.requests[1], found);
    CHECK(found == row.expected);
  }
}

TEST_CASE("ideal hits by hand: cold start, partial prefix, continuation inside a block") {
  const Trace trace = session_of(
      {{25, 12, {{0, 2}}}, {48, 3, {{0, 4}}}, {30, 1, {{0, 1}, {9, 2}}}, {19, 0, {{5, 1}}}});
  using Hits = std::vector<Tokens>;
  CHECK(ideal_hits(trace, GeneratedTokens::forgotten) == Hits{{0}, {20}, {10}, {0}});
  // 25 + 12 tokens of request 0 are known exactly when request 1 continues it.
  CHECK(ideal_hits(trace, GeneratedTokens::kept) == Hits{{0}, {37}, {10}, {0}});
  CHECK(ideal_hit_rate(trace, GeneratedTokens::forgotten) == doctest::Approx(30.0 / 122));
}

TEST_CASE("a partial last block with an id counts only its tokens") {
  TraceBuilder builder({}, Tokens{10});
  builder.trace().partial_last_block = true;
  for (int i = 0; i < 2; ++i) {
    builder.add(Tokens{25}, Tokens{1});
    builder.add_run(0, 3);
  }
  CHECK(ideal_hits(builder.finish(), GeneratedTokens::forgotten) == std::vector<Tokens>{{0}, {25}});
}

// The definition, id by id.
std::vector<Tokens> plain_hits(const Trace& trace) {
  std::set<std::int64_t> known;
  std::vector<Tokens> hits;
  for (const TraceRequest& request : trace.requests) {
    std::vector<std::int64_t> ids;
    for (const IdRun& run : trace.runs_of(request)) {
      for (std::int64_t i = 0; i < run.count; ++i) ids.push_back(run.first + i);
    }
    std::size_t blocks = 0;
    while (blocks < ids.size() && known.count(ids[blocks]) > 0) ++blocks;
    hits.push_back(std::min(trace.block * static_cast<std::int64_t>(blocks), request.prompt));
    known.insert(ids.begin(), ids.end());
  }
  return hits;
}

// Any runs at all: ids need not be chained for the two computations to agree.
Trace random_trace(RandomEngine& engine) {
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(engine);
  };
  TraceBuilder builder({}, Tokens{draw(1, 20)});
  builder.trace().partial_last_block = draw(0, 1) == 1;
  const std::int64_t ids = draw(1, 60);
  for (std::int64_t i = draw(1, 30); i > 0; --i) {
    std::vector<IdRun> runs(static_cast<std::size_t>(draw(1, 4)));
    std::int64_t blocks = 0;
    for (IdRun& run : runs) {
      run = {draw(0, ids), draw(1, 12)};
      blocks += run.count;
    }
    const std::int64_t rest = draw(0, builder.trace().block.value - 1);
    const std::int64_t tokens = blocks * builder.trace().block.value;
    builder.add(Tokens{builder.trace().partial_last_block ? tokens - rest : tokens + rest},
                Tokens{1});
    for (const IdRun& run : runs) builder.add_run(run.first, run.count);
  }
  return builder.finish();
}

TEST_CASE("hits over runs equal hits over single ids, on random traces") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    RandomEngine engine = RandomStreams(seed).stream("test");
    const Trace trace = random_trace(engine);
    REQUIRE(ideal_hits(trace, GeneratedTokens::forgotten) == plain_hits(trace));
  }
}

DATA_TEST_CASE("hits over runs equal hits over single ids, on mooncake-conversation") {
  const Trace trace =
      read_trace((data_dir() / "traces/mooncake-conversation/trace.jsonl.gz").string());
  CHECK(ideal_hits(trace, GeneratedTokens::forgotten) == plain_hits(trace));
}

TEST_CASE("a set of id runs joins what touches and keeps the rest apart") {
  IdSet set;
  set.insert({10, 5});
  set.insert({20, 5});
  CHECK(set.known_prefix({10, 20}) == 5);
  CHECK(set.known_prefix({12, 1}) == 1);
  CHECK(set.known_prefix({15, 1}) == 0);
  CHECK(set.known_prefix({9, 9}) == 0);
  set.insert({15, 5});
  CHECK(set.known_prefix({10, 20}) == 15);
  set.insert({0, 100});
  CHECK(set.known_prefix({0, 1000}) == 100);
}

}  // namespace
}  // namespace v4cap
