// Windows of running requests that stay until the request ends: how many run at once then.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/config/engine_file.h"
#include "sim/engine/engine.h"
#include "tests/sim/cache/engine_layout.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap {
namespace {

constexpr std::int64_t kPages = 3332, kWindowPages = 333;  // of the pools below, 256 tokens each

// The pools of a public log of V4-Flash: 852,992 tokens, and windows of 85,248.
KvCache flash_cache(bool stay) {
  LayoutSetting s;
  s.model = "deepseek-v4-flash";
  s.memory = Bytes{static_cast<std::int64_t>(852992 * 7705.45) + 1};
  s.options = {{"swa_full_tokens_ratio", 0.1},
               {"hca_state_by_slot", 1},
               {"request_slots", 0},
               {"running_windows_stay", stay ? 1 : 0}};
  const ModelData& data = known_model(s.model);
  const CacheGeometry geometry(data.spec, data.entry_fp8);
  auto layout = engine_layout("sglang", s);
  REQUIRE(layout->pools()[0].capacity == layout->blocks(0, kPages, false).total());
  REQUIRE(layout->pools()[1].capacity == layout->windows(0, kWindowPages).total());
  return {std::move(layout), make_policy("pool=0.1", geometry, Tokens{256}, {}), Tokens{256}};
}

// Requests without anything in common, of a prompt of 4,096 tokens in one step.
constexpr Tokens kPrompt{4096};

bool admit(KvCache& cache, CachedSequence& sequence) {
  return cache.admit(sequence, cache.lookup(sequence, kPrompt), kPrompt, kPrompt, true);
}

// As many as fit, all decoding.
std::vector<CachedSequence> fill(KvCache& cache, std::size_t most = 1000) {
  std::vector<CachedSequence> running;
  while (running.size() < most) {
    CachedSequence next;
    if (!admit(cache, next)) break;
    cache.decodes(next);
    running.push_back(next);
  }
  return running;
}

TEST_CASE("windows stay: how many requests of 4,096 tokens run at once") {
  // In flight: pages of 127 + 4,096 tokens, and one for where they begin.
  constexpr std::int64_t kChunk = 17 + 1, kLast = 1 + 1;
  KvCache stay = flash_cache(true), give_back = flash_cache(false);
  CHECK(fill(stay).size() == kWindowPages / kChunk);  // 18
  CHECK(stay.short_pool() == "swa");
  // Given back, each leaves two pages, and the next needs all 18 to begin.
  CHECK(fill(give_back).size() == (kWindowPages - kChunk) / kLast + 1);  // 158
  CHECK(give_back.short_pool() == "swa");
}

TEST_CASE("windows stay: output adds to them page by page, and all goes with the request") {
  KvCache cache = flash_cache(true);
  std::vector<CachedSequence> running = fill(cache, 15);
  REQUIRE(running.size() == 15);
  for (CachedSequence& s : running) {
    for (Tokens length = kPrompt; length < Tokens{5120}; length += Tokens{1}) {
      REQUIRE(cache.grow(s, length + Tokens{1}));
    }
  }
  // 15 x (18 + 4) of 333 pages: three are left.
  CHECK(cache.in_use()[CacheKind::swa] == cache.layout().windows(0, 330)[CacheKind::swa]);
  CachedSequence next;
  CHECK_FALSE(admit(cache, next));
  for (int i = 0; i < 3; ++i) CHECK(cache.grow(running[0], Tokens{5121 + 256 * i}));
  const KindBytes before = cache.in_use();
  CHECK_FALSE(cache.grow(running[0], Tokens{5120 + 3 * 256 + 1}));
  CHECK(cache.short_pool() == "swa");
  CHECK(cache.in_use() == before);  // nothing has changed
  cache.release(running[1]);
  CHECK(cache.grow(running[0], Tokens{5120 + 3 * 256 + 1}));
  CHECK(admit(cache, next));
  cache.release(next);
  for (CachedSequence& s : running) {
    if (s.running) cache.release(s);
  }
  cache.check_drained();
}

TEST_CASE("windows stay: what running requests are expected to need counts in both pools") {
  const auto most = [](bool stay, std::size_t requests) {
    KvCache cache = flash_cache(stay);
    const auto running = fill(cache, requests);
    REQUIRE(running.size() == requests);
    const CachedSequence next;
    const Lookup found = cache.lookup(next, kPrompt);
    std::int64_t pages = 0;
    while (cache.would_fit(found, kPrompt, kPrompt, Tokens{256 * (pages + 1)})) ++pages;
    CHECK_FALSE(cache.would_fit(found, kPrompt, kPrompt, Tokens{256 * pages + 1}));
    return std::pair(pages, cache.short_pool());
  };
  // 17 requests and the next take 18 pages each.
  CHECK(most(true, 17) == std::pair<std::int64_t, std::string>(333 - 18 * 18, "swa"));
  // Where windows are given back growth takes none: 17 + 1 requests of 16 pages in the full pool.
  CHECK(most(false, 17) == std::pair<std::int64_t, std::string>(kPages - 18 * 16, "full"));
}

std::unique_ptr<Engine> pro_engine() {
  LayoutSetting s;
  s.memory = Bytes{20 * kGiB};
  s.options = {{"swa_full_tokens_ratio", 0.1},
               {"hca_state_by_slot", 1},
               {"request_slots", 0},
               {"running_windows_stay", 1}};
  const ModelData& data = known_model(s.model);
  const CacheGeometry geometry(data.spec, data.entry_fp8);
  SchedulerParameters rules;
  rules.options = known_engine("sglang").scheduler->options;
  auto cache = std::make_unique<KvCache>(
      engine_layout("sglang", s), make_policy("pool=0.1", geometry, Tokens{256}, {}), Tokens{256});
  return std::make_unique<Engine>(EngineLimits{256, Tokens{8192}, Tokens{1 << 20}, 0},
                                  std::move(cache), make_scheduler("sglang", rules), false);
}

// Its output alone would need more window pages than there are.
TEST_CASE("windows stay: a request of a million tokens runs alone, and beside others in the end") {
  for (const int others : {0, 3}) {
    CAPTURE(others);
    const auto engine = pro_engine();
    const std::int64_t swa = engine->cache().layout().pools()[1].capacity /
                             engine->cache().layout().windows(0, 1).total();
    const std::int64_t output = 256 * (swa + 20);
    RequestRecord refused;
    REQUIRE(engine->submit(toy_request(0, (1 << 20) - output, output, 0, Tokens{256}), kSimStart,
                           refused));
    for (int i = 1; i <= others; ++i) {
      REQUIRE(engine->submit(
          toy_request(static_cast<std::uint32_t>(i), 20'000, 3'000, 100'000 * i, Tokens{256}),
          kSimStart, refused));
    }
    std::vector<RequestRecord> ended;
    SimTime now;
    while (engine->has_work()) {
      engine->plan_step(now);
      now += Duration{1'000'000};
      engine->finish_step(now, ended);
    }
    engine->check_drained();
    REQUIRE(ended.size() == static_cast<std::size_t>(others + 1));
    for (const RequestRecord& r : ended) CHECK(r.end == RequestEnd::finished);
  }
}

TEST_CASE("windows stay: random sessions in tiny memory end with all books in balance") {
  for (const std::string scheduler : {"fcfs", "vllm", "sglang"}) {
    CAPTURE(scheduler);
    std::int64_t preemptions = 0;
    std::uint64_t differ = 0;
    for (std::uint64_t seed = 1; seed <= 15; ++seed) {
      CAPTURE(seed);
      ToyEngine settings = tight_engine("pool=0.3");
      settings.scheduler = scheduler;
      if (scheduler == "sglang") settings.rules.options = known_engine("sglang").scheduler->options;
      if (seed % 3 == 0) settings.acceptance = acceptance_of_mean(3, 2.5);
      const Trace trace = random_sessions(seed, 40);
      const auto run = [&](bool stay) {
        settings.costs.windows_stay = stay;
        return play(trace, closed_loop(12), settings, LinearCost{}, seed).totals;
      };
      const RunTotals totals = run(true);
      CHECK(totals.finished + totals.refused == static_cast<std::int64_t>(trace.requests.size()));
      CHECK(totals.refused == run(false).refused);  // whoever runs alone runs in either case
      differ += totals.result_hash != run(false).result_hash ? 1 : 0;
      preemptions += totals.preemptions;
    }
    CHECK(differ > 0);
    CHECK(preemptions > 0);
  }
}

}  // namespace
}  // namespace v4cap
