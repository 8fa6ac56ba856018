#include "sim/output/verdict.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace v4cap;

namespace {

using std::chrono::seconds;

RunTotals totals(BindingTime binding, bool saturated = false) {
  RunTotals t;
  t.requests = t.finished = 10;
  t.binding = std::move(binding);
  t.saturated = saturated;
  return t;
}

}  // namespace

TEST_CASE("verdict: which constraint binds") {
  struct Row {
    std::string name;
    RunTotals run;
    const char* binding;
    double share;
  };
  const Row rows[] = {
      {"larger pool",
       totals({.memory_pools = {{"kv", seconds{2}}, {"swa", seconds{5}}}, .idle = seconds{3}}),
       "memory:swa", 0.5},
      {"first of equal pools", totals({.memory_pools = {{"kv", seconds{2}}, {"swa", seconds{2}}}}),
       "memory:kv", 0.5},
      {"running cap", totals({.running_cap = seconds{3}, .step_tokens = seconds{2}}), "running_cap",
       0.6},
      {"both kinds of prefill count together",
       totals({.running_cap = seconds{3},
               .step_tokens = seconds{2},
               .nothing_waits_prefill = seconds{5}}),
       "prefill", 0.7},
      {"decode",
       totals({.nothing_waits_decode = seconds{6},
               .nothing_waits_prefill = seconds{2},
               .idle = seconds{4}}),
       "decode", 0.5},
      {"exactly half idle is not mostly idle",
       totals({.nothing_waits_decode = seconds{5}, .idle = seconds{5}}), "decode", 0.5},
      {"mostly idle", totals({.nothing_waits_decode = seconds{4}, .idle = seconds{6}}), "arrivals",
       0.6},
      {"saturated looks at the queue only",
       totals({.memory_pools = {{"swa", seconds{1}}},
               .nothing_waits_decode = seconds{4},
               .idle = seconds{5}},
              true),
       "memory:swa", 0.1},
      {"saturated without a queue falls back", totals({.nothing_waits_decode = seconds{4}}, true),
       "decode", 1},
      {"nothing ran", totals({}), "none", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Verdict verdict = make_verdict(row.run);
    CHECK(verdict.binding == row.binding);
    CHECK(verdict.share == doctest::Approx(row.share));
    CHECK(verdict.saturated == row.run.saturated);
  }
}

TEST_CASE("verdict: words") {
  RunTotals run = totals({.memory_pools = {{"swa", seconds{63}}}, .idle = seconds{37}});
  CHECK(make_verdict(run).text ==
        "KV memory binds: for 63 % of the time the next request waited for room in pool 'swa'. "
        "Keeping "
        "less state per token, more memory for the cache or more replicas would help.");
  run.saturated = true;
  CHECK(make_verdict(run).text.find("saturated") != std::string::npos);
  run.requests = 1500;
  run.refused = 1;
  CHECK(make_verdict(run).text.starts_with("1 of 1,500 requests was refused: "));
  run.refused = 1200;
  const std::string text = make_verdict(run).text;
  CHECK(text.starts_with("1,200 of 1,500 requests were refused: "));
  CHECK(std::count(text.begin(), text.end(), '.') == 3);
}

TEST_CASE("verdict: pauses of clients do not hide that requests queued") {
  RunTotals run = totals({.memory_pools = {{"swa", seconds{6}}},
                          .nothing_waits_decode = seconds{3},
                          .idle = seconds{91}});
  run.running_mean = 0.4;
  run.waiting_mean = 0.3;
  CHECK(make_verdict(run).binding == "arrivals");
  run.waiting_mean = 2.5;
  const Verdict verdict = make_verdict(run);
  CHECK(verdict.binding == "memory:swa");
  CHECK(verdict.share == doctest::Approx(0.06));
  CHECK(verdict.text ==
        "KV memory binds: for 6 % of the time the next request waited for room in pool 'swa'; the "
        "node was idle for 91 %, but when there were requests they waited longer than they ran. "
        "Keeping less state per token, more memory for the cache or more replicas would help.");
}

TEST_CASE("verdict: a node that refuses is not called free for more load") {
  RunTotals run = totals({.nothing_waits_decode = seconds{6}, .idle = seconds{94}});
  run.requests = 829;
  run.refused = 824;
  const Verdict refused = make_verdict(run);
  CHECK(refused.binding == "none");
  CHECK(refused.share == 0);
  CHECK(refused.text.ends_with("What the other 5 took says nothing of what binds."));
  run.refused = 100;
  const Verdict some = make_verdict(run);
  CHECK(some.binding == "arrivals");
  CHECK(some.text.ends_with("It can take more of the requests that it does not refuse."));
  run.binding = {.nothing_waits_decode = seconds{6}};
  CHECK(make_verdict(run).text.find("The node can take more load") == std::string::npos);
}

TEST_CASE("verdict: prefill with and without a queue are told apart") {
  CHECK(make_verdict(totals({.step_tokens = seconds{2}})).text.starts_with("Prefill binds"));
  CHECK(make_verdict(totals({.nothing_waits_prefill = seconds{2}}))
            .text.starts_with("Prefill sets the pace"));
}

TEST_CASE("verdict: every request refused") {
  RunTotals run;
  run.requests = run.refused = 4;
  const Verdict verdict = make_verdict(run);
  CHECK(verdict.binding == "none");
  CHECK(verdict.text.starts_with("4 of 4 requests were refused"));
}

TEST_CASE("verdict: evictions that cost hits are named") {
  RunTotals run = totals({.nothing_waits_decode = seconds{6}});
  run.prompt_tokens = {1000};
  run.hit_tokens = {700};
  run.ideal_hit_rate = 0.9;
  CHECK(make_verdict(run).text.find("evicted") == std::string::npos);  // nothing was evicted
  run.evicted[CacheKind::swa] = 3 * kGiB;
  const std::string text = make_verdict(run).text;
  CHECK(text.find("3 GiB were evicted, and the hit rate is 70.0 % where an infinite cache would "
                  "reach 90.0 %") != std::string::npos);
  run.hit_tokens = {860};  // within a twentieth of what is possible
  CHECK(make_verdict(run).text.find("evicted") == std::string::npos);
}
