// The worked scenarios on the public traces they name, under each policy: they run to the end, and
// the words of the cache keep what they promise. The driver asserts conservation and the roofline
// in every run.
#include <doctest/doctest.h>

#include <string>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "tests/data.h"
#include "traces/prefix_stats.h"

namespace v4cap {

namespace {

// Sanitizers make a run about ten times slower, so they see the first part of a trace.
#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kRequests = "2500";
#else
constexpr const char* kRequests = "all";
#endif

// Tokens that one hit rebuilds: 61 layers of V4-Pro, a window of 128 in each.
constexpr std::int64_t kRectangle = 61 * 128;

struct Case {
  std::string scenario;
  std::int64_t requests;  // in the whole trace
};

Scenario scenario_of(const Case& c, const std::string& policy, bool reuse_generated) {
  ScenarioOptions options;
  options.trace_dir = (data_dir() / "traces").string();
  options.set = {"kv_cache.swa_policy=" + policy,
                 std::string("kv_cache.reuse_generated=") + (reuse_generated ? "true" : "false"),
                 std::string("workload.max_requests=") + kRequests};
  return load_scenario(std::string(V4CAP_SOURCE_DIR) + "/scenarios/" + c.scenario, options);
}

double hit_rate(const RunTotals& totals) {
  return static_cast<double>(totals.hit_tokens.value) /
         static_cast<double>(totals.prompt_tokens.value);
}

void check_words(const RunResult& result, const std::string& policy) {
  for (const RequestRecord& r : result.records) {
    CAPTURE(r.id);
    REQUIRE(r.end == RequestEnd::finished);
    REQUIRE(r.hit + r.computed == r.prompt);
    REQUIRE(r.hit < r.prompt);
    REQUIRE(r.arrival <= r.admitted);
    REQUIRE(r.admitted < r.finished);
    if (policy == "recompute") {
      // A hit long enough rebuilds the rectangle, a shorter one is prefilled plainly.
      REQUIRE(r.rebuilt.value == (r.hit > Tokens{0} ? kRectangle : 0));
      REQUIRE((r.hit == Tokens{0} || r.hit.value >= 2 * kRectangle));
    } else {
      REQUIRE(r.rebuilt == Tokens{0});
    }
    if (policy == "checkpoint=2048") REQUIRE(r.hit.value % 2048 == 0);
  }
}

void check_scenario(const Case& c) {
  const Trace trace = load_workload(scenario_of(c, "full", true));
  if (std::string(kRequests) == "all") {
    CHECK(static_cast<std::int64_t>(trace.requests.size()) == c.requests);
  }
  const double ideal = ideal_hit_rate(trace, GeneratedTokens::forgotten);
  const double ideal_with_output = ideal_hit_rate(trace, GeneratedTokens::kept);
  for (const bool reuse : {false, true}) {
    for (const std::string policy : {"full", "checkpoint=2048", "recompute"}) {
      CAPTURE(reuse);
      CAPTURE(policy);
      const RunResult result = run_scenario(scenario_of(c, policy, reuse), trace);
      check_words(result, policy);
      CHECK(hit_rate(result.totals) > 0);
      CHECK(hit_rate(result.totals) <= (reuse ? ideal_with_output : ideal));
      MESSAGE(std::string(c.scenario) << " " << policy << std::string(reuse ? " with" : " without")
                                      << " generated tokens: hit rate " << hit_rate(result.totals));
    }
  }
}

}  // namespace

DATA_TEST_CASE("real scenarios: chat on mooncake-conversation under every policy") {
  check_scenario({"chat_mooncake.yaml", 8940});
}

DATA_TEST_CASE("real scenarios: agents on weka-agentic-v8 under every policy") {
  check_scenario({"agents_weka_v8.yaml", 35846});
}

}  // namespace v4cap
