// A plan file: what it says, and what is wrong with the ones that are refused.
#include "sim/plan/plan_file.h"

#include <doctest/doctest.h>

#include <chrono>

#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kBase = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";
const std::string kStart = "base: " + kBase + "\n";  // line 1
const std::string kWhole = kStart +
                           "thresholds: [ttft_ms.p99 <= 9000]\n"
                           "load: {from: 2, to: 64}\n";

PlanFile read(const TempDir& dir, const std::string& text,
              std::optional<std::uint64_t> seed = std::nullopt) {
  return read_plan_file(dir.write("p.yaml", text), {}, seed, "");
}

TEST_CASE("plan file: defaults, and everything that can be said") {
  const TempDir dir;
  const PlanFile plain = read(dir, kWhole);
  CHECK(plain.seeds == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(plain.unit == LoadUnit::sessions);
  CHECK(plain.load.whole);
  CHECK_FALSE(plain.asked.has_value());
  CHECK(plain.sweep.axes.empty());
  CHECK(read(dir, kWhole, 9).seeds == std::vector<std::uint64_t>{9});

  const PlanFile full = read(dir, kWhole +
                                      "axes: {engine.step_tokens: [4096, 8192]}\n"
                                      "seeds: [4, 5]\n"
                                      "goodput: {ttft: 2 s}\n"
                                      "sample: {rounds: 3, sessions: 9, ramp: 1 min, barrier: true,"
                                      " think_at_most: 10 s}\n"
                                      "search: {exact_up_to: 1, first_size: 0.5}\n"
                                      "prices: on-demand-2026\n"
                                      "levers: [{engine.max_running: 8, profile: none}]\n");
  CHECK(full.seeds == std::vector<std::uint64_t>{4, 5});
  CHECK(full.sweep.axes.size() == 1);
  CHECK(full.rules.good.ttft == Duration(std::chrono::seconds(2)));
  CHECK(full.rules.sample.rounds == 3);
  CHECK(full.rules.sample.sessions == 9);
  CHECK(full.rules.sample.barrier);
  CHECK(full.rules.sample.think_at_most == Duration(std::chrono::seconds(10)));
  CHECK(full.search.exact_up_to == 1);
  CHECK(full.prices->tokens->output > 0);
  REQUIRE(full.levers->size() == 1);
  CHECK(full.levers->front().set.size() == 2);
}

TEST_CASE("plan file: without thresholds the base's SLO counts") {
  const TempDir dir;
  const std::string path = dir.write("p.yaml", kStart + "load: {from: 1, to: 4}\n");
  const PlanFile file = read_plan_file(path, {"slo.ttft_p99=4 s"}, std::nullopt, "");
  REQUIRE(file.rules.thresholds.size() == 1);
  CHECK(file.rules.thresholds.front().text() == "ttft_ms.p99 <= 4000");
}

TEST_CASE("plan file: wrong ones are refused with place, what was expected and what was found") {
  const TempDir dir;
  const struct {
    std::string text, place;
    std::vector<std::string> says;
  } cases[] = {
      {kWhole + "pricess: x\n", ":4:1", {"unknown key", "prices"}},
      {kWhole + "prices: on-demand-2025\n", ":4:9", {"unknown price table", "on-demand-2026"}},
      {kWhole + "prices: none.yaml\n", ":4:9", {"found no file"}},
      {kStart + "thresholds: [ttft_p99 <= 9]\nload: {from: 1, to: 2}\n",
       ":2:14",
       {"unknown figure 'ttft_p99'", "ttft_ms.p99"}},
      {kStart + "thresholds: [ttft_ms.p90 < 3 s]\nload: {from: 1, to: 2}\n",
       ":2:14",
       {"expected 3000 in place of '3 s'"}},
      {kStart + "thresholds: [goodput >= 0.9]\nload: {from: 1, to: 2}\n",
       ":2:14",
       {"goodput needs"}},
      {kStart + "load: {from: 1, to: 2}\n", "", {"thresholds: expected an SLO"}},
      {kStart + "thresholds: [ttft_ms.p99 <= 9]\n", "", {"load"}},
      {kStart + "thresholds: [ttft_ms.p99 <= 9]\nload: {from: 9, to: 2}\n",
       ":3",
       {"expected at least load.from"}},
      {kStart + "thresholds: [ttft_ms.p99 <= 9]\nload: {from: 1.5, to: 2}\n",
       ":3:14",
       {"whole number of sessions", "1.5"}},
      {kStart + "thresholds: [ttft_ms.p99 <= 9]\nload: {from: 0, to: 2}\n", ":3:14", {"above 0"}},
      {kStart + "thresholds: [ttft_ms.p99 <= 9]\nload: {from: 1, too: 2}\n",
       ":3",
       {"unknown key", "to"}},
      {kWhole + "sample: {requests: 400}\n", ":4:20", {"only an open loop"}},
      {kWhole + "sample: {rounds: 0.5}\n", ":4:18", {"rounds"}},
      {kWhole + "goodput: {ttft: 5}\n", ":4:17", {"ttft"}},
      {kWhole + "axes: {workload.max_requests: [5]}\n", ":4:32", {"keys of the deployment"}},
      {kWhole + "axes: {seed: [5]}\n", ":4:8", {"under 'seeds:'"}},
      {kWhole + "seeds: [a]\n", ":4:9", {"whole numbers", "\"a\""}},
      {kWhole + "levers: {a: 1}\n", ":4:9", {"expected a list"}},
      {kWhole + "levers: [{a: [1]}]\n", ":4:10", {"expected {key.path: value}"}},
      {kWhole + "search: {exact_up_to: 0}\n", ":4:23", {"exact_up_to"}},
      {kWhole + "constraints: [engin.step_tokens > 4]\n", ":4:15", {"unknown key"}},
      {"base: nowhere.yaml\nload: {from: 1, to: 2}\n", ":1:7", {"found no file"}},
      {"- 1\n", ":1:1", {"expected keys and values"}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text);
    try {
      read(dir, c.text);
      FAIL_CHECK("was taken");
    } catch (const InputError& error) {
      const std::string message = error.what();
      CAPTURE(message);
      CHECK(message.find(c.place) != std::string::npos);
      for (const std::string& word : c.says) CHECK(message.find(word) != std::string::npos);
    }
  }
}

TEST_CASE("plan file: a burst has no load, an open loop counts requests a second") {
  const TempDir dir;
  const std::string path = dir.write("p.yaml", kWhole);
  CHECK_THROWS_WITH_AS(
      read_plan_file(path,
                     {"workload.arrivals.mode=burst", "workload.arrivals.sessions_at_a_time=null"},
                     std::nullopt, ""),
      doctest::Contains("whose load can be changed, got burst"), InputError);
  const PlanFile open =
      read_plan_file(path,
                     {"workload.arrivals.mode=poisson", "workload.arrivals.sessions_at_a_time=null",
                      "workload.arrivals.rate_per_s=1"},
                     std::nullopt, "");
  CHECK(open.unit == LoadUnit::requests_per_s);
  CHECK_FALSE(open.load.whole);
}

TEST_CASE("price table: every figure has a source, a GPU without a price is named") {
  const TempDir dir;
  const std::string good =
      "name: t\ndate: 2026-01-02\ncurrency: EUR\n"
      "gpu_hour:\n  B200: {price: 3, source: a contract}\n";
  dir.write("t.yaml", good);
  const PriceTable table = load_prices("t.yaml", dir.path(), {});
  CHECK(price_of(table, "B200", {}).per_hour == 3);
  CHECK_FALSE(table.tokens.has_value());
  CHECK_THROWS_WITH_AS(price_of(table, "B300", {}), doctest::Contains("no price for a B300"),
                       InputError);
  for (const std::string& more :
       {std::string("  H100: {price: 3}\n"), std::string("  H100: {price: 0, source: x}\n"),
        std::string("  H100: {price: dear, source: x}\n"), std::string("tokens: {input: 1}\n"),
        std::string("token: {input: 1}\n")}) {
    CAPTURE(more);
    dir.write("t.yaml", good + more);
    CHECK_THROWS_AS(load_prices("t.yaml", dir.path(), {}), InputError);
  }
}

}  // namespace
}  // namespace v4cap
