// The one-pass curve against the cache it stands for: every figure, at every memory.
#include "sim/cache/hit_curve.h"

#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "tests/data.h"
#include "tests/data_trace.h"
#include "tests/models.h"
#include "tests/sim/cache/random_prompts.h"

namespace v4cap {
namespace {

void check_equal(const Trace& trace, Tokens block, bool reuse_generated,
                 const std::vector<Bytes>& memories) {
  const ModelSpec& model = known_model("deepseek-v4-pro").spec;
  const CacheGeometry geometry(model, known_model("deepseek-v4-pro").entry_fp8);
  for (const char* name : {"full", "checkpoint=2048", "recompute", "recompute=pyramid", "replay"}) {
    const std::string text = name;
    const auto policy = make_policy(text, geometry, block, {}, Tokens{256});
    const auto layout = make_layout("ideal", {geometry, model, block, Bytes{1}, {}});
    const auto curve = hit_curve(trace, *layout, *policy, {block, reuse_generated}, memories);
    REQUIRE(curve.size() == memories.size());
    for (std::size_t i = 0; i < memories.size(); ++i) {
      const auto pool = make_layout("ideal", {geometry, model, block, memories[i], {}});
      const CacheTotals plain = replay_cache(trace, *pool, *policy, {block, reuse_generated});
      CAPTURE(text);
      CAPTURE(memories[i].value);
      CAPTURE(curve[i].hit.value);
      CAPTURE(plain.hit.value);
      CHECK(curve[i] == plain);
    }
  }
}

TEST_CASE("hit curve: one pass equals a replay at every memory, on random traces") {
  std::vector<Bytes> memories;
  for (std::int64_t kib = 1; kib <= std::int64_t{64} << 20; kib = kib * 3 + 1) {
    memories.push_back({kib << 10});
  }
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    const Trace trace = random_prompts(seed, 250, seed % 2 == 0);
    check_equal(trace, trace.block, seed % 3 == 0, memories);
    if (seed == 1) check_equal(trace, Tokens{512}, false, memories);
  }
}

TEST_CASE("hit curve: one pass equals a replay in the pools of engines") {
  const Trace trace = random_prompts(3, 250, false);
  for (const std::string layout : {"vllm", "trtllm"}) {
    for (const std::string policy : {"full", "checkpoint=2048", "recompute"}) {
      const Scenario scenario = parse_scenario(
          "{model: deepseek-v4-pro, hardware: hgx-b200, kv_cache: {layout: " + layout +
              ", block_tokens: 256, swa_policy: " + policy +
              "}, workload: {trace: agents_small.jsonl.gz, arrivals: {mode: burst}}}",
          "test");
      for (const std::int64_t gib : {1, 2, 4}) {
        CAPTURE(layout);
        CAPTURE(policy);
        CAPTURE(gib);
        const CacheParts parts = make_cache_parts(scenario, Bytes{gib << 30});
        const Bytes pool[] = {parts.layout->pools().front().capacity};
        const ReplayOptions options{scenario.kv_cache.block, false};
        const CacheTotals plain = replay_cache(trace, *parts.layout, *parts.policy, options);
        CHECK(hit_curve(trace, *parts.layout, *parts.policy, options, pool).front() == plain);
        CHECK(plain.evicted != KindBytes{});
      }
    }
  }
}

DATA_TEST_CASE("hit curve: one pass equals a replay on a public trace") {
  const Trace trace = data_trace("mooncake-conversation");
  check_equal(trace, trace.block, false,
              {Bytes{std::int64_t{8} << 30}, Bytes{std::int64_t{64} << 30}});
}

}  // namespace
}  // namespace v4cap
