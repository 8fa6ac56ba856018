// The cache without time: known hit rates of public traces, and what must hold of every policy at
// every memory on random traces.
#include "sim/cache/cache_replay.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/data.h"
#include "tests/data_trace.h"
#include "tests/models.h"
#include "tests/sim/cache/random_prompts.h"

namespace v4cap {
namespace {

constexpr Bytes kEndless{std::int64_t{1} << 60};

struct Setup {
  CacheGeometry geometry{known_model("deepseek-v4-pro").spec,
                         known_model("deepseek-v4-pro").entry_fp8};
  std::unique_ptr<SwaPolicy> policy;
  std::unique_ptr<Layout> layout;

  Setup(const std::string& name, Tokens block, Bytes memory)
      : policy(make_policy(name, geometry, block, {}, Tokens{256})),
        layout(make_layout("ideal", {geometry, known_model("deepseek-v4-pro").spec, block, memory,
                                     policy->window_pool_ratio()})) {}
};

CacheTotals replay(const Trace& trace, const std::string& policy, Bytes memory,
                   bool reuse_generated = false) {
  const Setup setup(policy, trace.block, memory);
  return replay_cache(trace, *setup.layout, *setup.policy, {trace.block, reuse_generated});
}

double share(Tokens part, Tokens whole) {
  return static_cast<double>(part.value) / static_cast<double>(whole.value);
}

const char* const kPolicies[] = {"full",
                                 "checkpoint=2048",
                                 "checkpoint=2048+ends",
                                 "tail",
                                 "recompute",
                                 "replay",
                                 "recompute=pyramid",
                                 "pool=0.1",
                                 "pool=1",
                                 "reuse",
                                 "reuse=1",
                                 "checkpoint=256+ends"};

DATA_TEST_CASE("cache without time: hit rates of an endless cache on public traces") {
  struct Row {
    std::string trace, policy;
    double hit, rebuilt;
  };
  // Order of the trace, everything available at once; recompute rebuilds 7,936 tokens a hit from
  // 15,872 up.
  const Row rows[] = {
      {"mooncake-conversation", "full", 0.3606, 0},
      {"mooncake-conversation", "checkpoint=2048", 0.3093, 0},
      {"mooncake-conversation", "checkpoint=32768", 0.0792, 0},
      {"mooncake-conversation", "checkpoint=2048+ends", 0.3573, 0},
      {"mooncake-conversation", "checkpoint=32768+ends", 0.3401, 0},
      {"mooncake-conversation", "tail", 0.3351, 0},
      {"mooncake-conversation", "recompute", 0.2028, 0.0507},
      {"weka-agentic-v8", "full", 0.9615, 0},
      {"weka-agentic-v8", "checkpoint=2048", 0.9530, 0},
      {"weka-agentic-v8", "checkpoint=32768", 0.8214, 0},
      {"weka-agentic-v8", "checkpoint=2048+ends", 0.9611, 0},
      {"weka-agentic-v8", "checkpoint=32768+ends", 0.9584, 0},
      {"weka-agentic-v8", "tail", 0.9544, 0},
      {"weka-agentic-v8", "recompute", 0.9588, 0.0664},
  };
  std::string read;
  Trace trace;
  for (const Row& row : rows) {
    CAPTURE(row.trace);
    CAPTURE(row.policy);
    if (read != row.trace) {
      trace = data_trace(row.trace);
      read = row.trace;
    }
    const CacheTotals totals = replay(trace, row.policy, kEndless);
    CHECK(std::abs(totals.hit_rate() - row.hit) < 0.0001);
    CHECK(std::abs(share(totals.rebuilt, totals.prompt) - row.rebuilt) < 0.0001);
    CHECK(totals.evicted == KindBytes{});
  }
}

TEST_CASE("cache without time: what holds for every policy and memory") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Trace trace = random_prompts(seed, 300, seed % 2 == 0);
    const bool generated = seed % 3 == 0;
    // Resumes wherever anything is known, so nothing hits more, whatever its memory.
    const CacheTotals most = replay(trace, "full", kEndless, generated);
    for (const char* name : kPolicies) {
      for (const std::int64_t mib : {1, 30, 200, 1000, 5000}) {
        const std::string policy = name;
        CAPTURE(seed);
        CAPTURE(policy);
        CAPTURE(mib);
        const Setup setup(policy, trace.block, Bytes{mib << 20});
        // Asserts that bytes written, evicted and kept add up, by kind.
        const CacheTotals t =
            replay_cache(trace, *setup.layout, *setup.policy, {trace.block, generated});
        CHECK(t.prompt == most.prompt);
        CHECK(t.hit <= most.hit);
        CHECK(t.rebuilt <= t.hit);
        const bool rebuilds = policy.starts_with("re");  // recompute, replay, reuse
        if (!rebuilds) CHECK(t.rebuilt == Tokens{0});
        const KindBytes kept = t.written - t.evicted;
        for (const std::int64_t bytes : kept.bytes) CHECK(bytes >= 0);
        CHECK(kept.total().value <= mib << 20);
        if (const auto retention = setup.policy->retention()) {
          const std::int64_t points = kept[CacheKind::swa] + kept[CacheKind::tails];
          CHECK(points <= point_budget(*setup.layout, retention));
        }
      }
    }
  }
}

TEST_CASE("cache without time: points stay within their budget, however many leaves there are") {
  // Prompts that share nothing: each ends a leaf of its own, and nothing is used again.
  Trace trace;
  trace.name = "leaves";
  trace.block = Tokens{256};
  for (std::int64_t i = 0; i < 1000; ++i) {
    TraceRequest r;
    r.prompt = Tokens{256 * 4};
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    trace.runs.push_back({i * 4, 4});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  }
  trace.next_free_id = 4000;
  for (const char* name : {"reuse=0.01", "reuse"}) {
    const std::string policy = name;
    CAPTURE(policy);
    const Setup setup(policy, trace.block, Bytes{std::int64_t{20} << 30});
    const CacheTotals t = replay_cache(trace, *setup.layout, *setup.policy, {trace.block, false});
    const KindBytes kept = t.written - t.evicted;
    const std::int64_t points = kept[CacheKind::swa] + kept[CacheKind::tails];
    const std::int64_t budget = point_budget(*setup.layout, setup.policy->retention());
    CHECK(points <= budget);
    CHECK(points > budget * 9 / 10);
  }
}

TEST_CASE("cache without time: what a hit reads of a point is what was kept") {
  Trace trace;
  trace.name = "the same prompt twice";
  trace.block = Tokens{512};
  trace.partial_last_block = true;
  trace.next_free_id = 10;
  for (const std::int64_t prompt : {1024, 1000}) {
    trace.requests.clear();
    trace.runs = {{0, 2}};
    for (int i = 0; i < 2; ++i) {
      TraceRequest r;
      r.prompt = Tokens{prompt};
      r.output = Tokens{300};
      r.runs_begin = 0;
      r.runs_end = 1;
      trace.requests.push_back(r);
    }
    CAPTURE(prompt);
    const Setup setup("tail", trace.block, kEndless);
    const CacheTotals t = replay_cache(trace, *setup.layout, *setup.policy, {trace.block, false});
    CHECK(t.hit == Tokens{prompt - 1});
    const KindBytes end = setup.layout->point(Tokens{prompt});
    CHECK(t.read[CacheKind::tails] == end[CacheKind::tails]);
    // Where the last block is partial, its end and the end of the block before.
    const KindBytes before = setup.layout->point(Tokens{512});
    CHECK(t.written[CacheKind::tails] ==
          end[CacheKind::tails] + (prompt == 1000 ? before[CacheKind::tails] : 0));
  }
}

TEST_CASE("cache without time: more memory never hits less under least recently used") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Trace trace = random_prompts(seed, 300, false);
    // What is kept of a block must not depend on the past for this to be certain.
    for (const char* name : {"full", "checkpoint=2048", "recompute", "replay"}) {
      Tokens before;
      for (std::int64_t mib = 1; mib <= 8192; mib *= 2) {
        const std::string policy = name;
        CAPTURE(policy);
        CAPTURE(mib);
        const Tokens hit = replay(trace, policy, Bytes{mib << 20}).hit;
        CHECK(hit >= before);
        before = hit;
      }
      CHECK(before > Tokens{0});
    }
  }
}

// Two requests, the second one continuing the first: what each policy finds.
TEST_CASE("cache without time: a continued prompt, by hand") {
  Trace trace;
  trace.name = "by hand";
  trace.block = Tokens{256};
  trace.next_free_id = 1000;
  const auto request = [&](std::int64_t prompt, std::vector<IdRun> runs) {
    TraceRequest r;
    r.prompt = Tokens{prompt};
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    trace.runs.insert(trace.runs.end(), runs.begin(), runs.end());
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  };
  request(20'000, {{0, 78}});             // 78 whole blocks: 19,968 tokens
  request(25'000, {{0, 78}, {100, 19}});  // goes on
  request(12'000, {{0, 40}, {200, 6}});   // leaves it after 10,240
  request(256, {{0, 1}});                 // the first block only: its last token is computed
  struct Row {
    std::string policy;
    std::int64_t hit, rebuilt;
  };
  const Row rows[] = {
      {"full", 19'968 + 10'240 + 255, 0},
      {"checkpoint=2048", 18'432 + 10'240, 0},
      {"checkpoint=2048+ends", 19'968 + 10'240, 0},
      {"tail", 19'968, 0},
      {"recompute", 19'968, 7936},
      {"recompute=pyramid", 19'968 + 10'240, 2 * 3968},
      {"replay", 19'968 + 10'240 + 255, 3 * 128},
      {"pool=1", 19'968 + 10'240 + 255, 0},
      // Ends, every 8,192 and forks: the second request resumes at the first one's end, the third at
      // 8,192, the fourth nowhere.
      {"reuse", 19'968 + 8192, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy);
    const CacheTotals t = replay(trace, row.policy, kEndless);
    CHECK(t.hit == Tokens{row.hit});
    CHECK(t.rebuilt == Tokens{row.rebuilt});
  }
}

TEST_CASE("cache without time: windows in a pool of their own leave by themselves") {
  // Two sequences in turn: the windows of one push out those of the other, although all compressed
  // entries fit.
  Trace trace;
  trace.name = "two in turn";
  trace.block = Tokens{256};
  trace.next_free_id = 10'000;
  for (int i = 0; i < 10; ++i) {
    TraceRequest r;
    r.prompt = Tokens{256 * 1000 + 1};
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    trace.runs.push_back({(i % 2) * 5000, 1000});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  }
  const Bytes memory{std::int64_t{4} << 30};  // 0.5 M tokens take 2.8 GB compressed
  CHECK(replay(trace, "pool=0.005", memory).hit == Tokens{0});
  CHECK(replay(trace, "tail", memory).hit == Tokens{8 * 256'000});
  CHECK(replay(trace, "reuse", memory).hit == Tokens{8 * 256'000});
}

}  // namespace
}  // namespace v4cap
