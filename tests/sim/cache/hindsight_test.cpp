// The yardstick: against all ways to keep blocks on small traces, and against every policy on real
// ones.
#include "sim/cache/hindsight.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/data.h"
#include "tests/data_trace.h"
#include "tests/models.h"
#include "tests/sim/cache/random_prompts.h"
#include "tests/sim/cache/toy_layout.h"
#include "traces/interleave.h"

namespace v4cap {
namespace {

// Most blocks that any cache of `capacity` blocks can hit: a search over all sets of blocks that it
// may hold after each request.
class Exhaustive {
 public:
  Exhaustive(std::vector<std::vector<int>> prompts, std::size_t capacity, int names)
      : prompts_(std::move(prompts)), capacity_(capacity), names_(names) {}

  std::int64_t best(std::size_t request = 0, unsigned held = 0) {
    if (request == prompts_.size()) return 0;
    const auto [known, fresh] = best_.try_emplace({request, held}, 0);
    if (!fresh) return known->second;
    const auto& prompt = prompts_[request];
    std::int64_t hit = 0;
    unsigned available = held;
    for (const int block : prompt) available |= 1U << block;
    while (hit < static_cast<std::int64_t>(prompt.size()) &&
           ((held >> prompt[static_cast<std::size_t>(hit)]) & 1U) != 0) {
      ++hit;
    }
    std::int64_t most = 0;
    for (unsigned keep = 0; keep < (1U << names_); ++keep) {
      if ((keep & ~available) != 0 ||
          static_cast<std::size_t>(__builtin_popcount(keep)) > capacity_) {
        continue;
      }
      most = std::max(most, best(request + 1, keep));
    }
    return best_[{request, held}] = hit + most;
  }

 private:
  std::vector<std::vector<int>> prompts_;
  std::size_t capacity_;
  int names_;
  std::map<std::pair<std::size_t, unsigned>, std::int64_t> best_;  // from a request on
};

Trace trace_of(const std::vector<std::vector<int>>& prompts, std::int64_t names) {
  Trace trace;
  trace.name = "small";
  trace.block = Tokens{64};
  trace.next_free_id = names;
  for (const auto& prompt : prompts) {
    TraceRequest r;
    r.prompt = Tokens{64 * static_cast<std::int64_t>(prompt.size()) + 1};
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    for (const int id : prompt) trace.runs.push_back({id, 1});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  }
  return trace;
}

TEST_CASE("hindsight: the bound is what an exhaustive search finds") {
  // Prefix trees: 0-1-2, 0-3, 4-5.
  const std::vector<std::vector<int>> prompts = {{0, 1, 2}, {4, 5}, {0, 3}, {0, 1, 2},
                                                 {4, 5},    {0, 3}, {4, 5}, {0, 1, 2}};
  const Trace trace = trace_of(prompts, 6);
  for (const std::size_t capacity : {1, 2, 3, 4, 5, 6}) {
    CAPTURE(capacity);
    const ToyLayout layout({static_cast<std::int64_t>(capacity), 1, 0, 1, 0});
    const Hindsight found =
        hindsight(trace, layout, Tokens{64}, Bytes{static_cast<std::int64_t>(capacity)});
    CHECK(found.bound == Tokens{64} * Exhaustive(prompts, capacity, 6).best());
    CHECK(found.estimate <= found.bound);
  }
}

TEST_CASE("hindsight: partial last blocks cannot beat the bound") {
  // Short prompts of which most is a partial block, among long ones.
  const ModelSpec& model = known_model("deepseek-v4-pro").spec;
  const CacheGeometry geometry(model, known_model("deepseek-v4-pro").entry_fp8);
  Trace trace;
  trace.name = "short and long";
  trace.block = Tokens{512};
  trace.partial_last_block = true;
  for (std::int64_t i = 0; i < 400; ++i) {
    const bool is_long = i % 4 == 0;
    TraceRequest r;
    r.prompt = Tokens{is_long ? 512 * 20 : 500};
    r.runs_begin = static_cast<std::uint32_t>(trace.runs.size());
    trace.runs.push_back(is_long ? IdRun{1000 + i % 40 * 20, 20} : IdRun{i % 40, 1});
    r.runs_end = static_cast<std::uint32_t>(trace.runs.size());
    trace.requests.push_back(r);
  }
  trace.next_free_id = 2000;
  for (const std::int64_t mib : {20, 100, 150, 300, 1000}) {
    CAPTURE(mib);
    const Bytes memory{mib << 20};
    const auto layout = make_layout("ideal", {geometry, model, trace.block, memory, {}});
    const Hindsight best = hindsight(trace, *layout, trace.block, memory);
    for (const char* name : {"full", "tail", "replay", "reuse"}) {
      const std::string text = name;
      CAPTURE(text);
      const auto policy = make_policy(text, geometry, trace.block, {});
      CHECK(replay_cache(trace, *layout, *policy, {trace.block, false}).hit <= best.bound);
    }
  }
}

TEST_CASE("hindsight: no policy saves more than the bound") {
  const ModelSpec& model = known_model("deepseek-v4-pro").spec;
  const CacheGeometry geometry(model, known_model("deepseek-v4-pro").entry_fp8);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Trace trace = random_prompts(seed, 300, seed % 2 == 0);
    for (const std::int64_t mib : {10, 50, 200, 1000}) {
      const Bytes memory{mib << 20};
      const auto layout = make_layout("ideal", {geometry, model, trace.block, memory, {}});
      const Hindsight best = hindsight(trace, *layout, trace.block, memory);
      CHECK(best.estimate <= best.bound);
      for (const char* name :
           {"full", "checkpoint=2048+ends", "tail", "recompute", "replay", "reuse"}) {
        const std::string text = name;
        CAPTURE(seed);
        CAPTURE(text);
        CAPTURE(mib);
        const auto policy = make_policy(text, geometry, trace.block, {});
        const CacheTotals t = replay_cache(trace, *layout, *policy, {trace.block, false});
        CHECK(t.hit <= best.bound);
      }
    }
  }
}

DATA_TEST_CASE("reuse saves at least what every exact policy of today's engines saves") {
  const ModelSpec& model = known_model("deepseek-v4-pro").spec;
  const CacheGeometry geometry(model, known_model("deepseek-v4-pro").entry_fp8);
  struct Row {
    std::string trace;
    std::vector<std::int64_t> mib;
  };
  const Row rows[] = {{"mooncake-conversation", {8'192, 32'768, 131'072}},
                      {"mooncake-synthetic", {8'192, 32'768, 131'072}},
                      {"weka-agentic-v8", {2'048, 3'072, 4'096}}};
  for (const Row& row : rows) {
    // 8,000 requests of the agents tell what all 35,846 do, in a quarter of the time.
    const Trace trace = data_trace(row.trace, 8'000);
    for (const std::int64_t mib : row.mib) {
      const auto saved = [&](const std::string& text) {
        const auto policy = make_policy(text, geometry, trace.block, {}, Tokens{256});
        const auto layout = make_layout(
            "ideal", {geometry, model, trace.block, Bytes{mib << 20}, policy->window_pool_ratio()});
        return replay_cache(trace, *layout, *policy, {trace.block, false}).net_saved();
      };
      const Tokens reuse = saved("reuse");
      for (const char* name :
           {"full", "checkpoint=2048", "checkpoint=32768", "checkpoint=2048+ends",
            "checkpoint=32768+ends", "tail", "recompute", "pool=0.1", "pool=0.02"}) {
        const std::string text = name;
        // A window a block and 2.4 M blocks take minutes under sanitizers; pools are far behind.
        if (text.starts_with("pool") && row.trace.starts_with("weka")) continue;
        CAPTURE(row.trace);
        CAPTURE(mib);
        CAPTURE(text);
        CHECK(reuse >= saved(text));
      }
    }
  }
}

DATA_TEST_CASE("reuse closes most of the gap to hindsight when sessions take turns") {
  // Sixteen agents in a memory that does not hold all of them: least recently used is what comes
  // next.
  const ModelSpec& model = known_model("deepseek-v4-pro").spec;
  const CacheGeometry geometry(model, known_model("deepseek-v4-pro").entry_fp8);
  const Trace trace = interleave_sessions(data_trace("weka-agentic-v8", 4'000), 16);
  const Bytes memory{std::int64_t{8} << 30};
  const auto layout = make_layout("ideal", {geometry, model, trace.block, memory, {}});
  const auto saved = [&](const std::string& text) {
    const auto policy = make_policy(text, geometry, trace.block, {}, Tokens{256});
    const CacheTotals t = replay_cache(trace, *layout, *policy, {trace.block, false});
    return static_cast<double>(t.net_saved().value);
  };
  double best = 0;
  for (const char* name : {"checkpoint=2048", "checkpoint=32768+ends", "tail", "recompute"}) {
    best = std::max(best, saved(name));
  }
  const double estimate =
      static_cast<double>(hindsight(trace, *layout, trace.block, memory).estimate.value);
  const double closed = (saved("reuse") - best) / (estimate - best);
  CAPTURE(closed);
  CHECK(closed > 0.5);
  CHECK(closed < 1);
}

}  // namespace
}  // namespace v4cap
