// Shards: which points they have, and what a merge refuses.
#include "sim/sweep/shard.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/temp_dir.h"

namespace v4cap {
namespace {

SweepPlan plan_of(std::size_t points) {
  SweepPlan plan;
  plan.name = "test";
  for (std::size_t i = 0; i < points; ++i) plan.points.push_back({{}, "key" + std::to_string(i)});
  return plan;
}

std::map<std::string, PointResult> results_of(const SweepPlan& plan) {
  std::map<std::string, PointResult> results;
  for (const PlannedPoint& point : plan.points) {
    results[point.key] = {point.key, true, "{\"of\":\"" + point.key + "\"}"};
  }
  results[plan.points[1].key] = {plan.points[1].key, false, "does \"not\" fit"};
  return results;
}

TEST_CASE("shard: every point is in exactly one") {
  for (const std::int64_t count : {1, 2, 3, 10, 25}) {
    std::set<std::size_t> seen;
    std::size_t total = 0;
    for (std::int64_t i = 1; i <= count; ++i) {
      for (const std::size_t point : points_of({i, count}, 10)) seen.insert(point), ++total;
    }
    CHECK(total == 10);
    CHECK(seen.size() == 10);
  }
}

TEST_CASE("shard: i/N and nothing else") {
  CHECK(parse_shard("3/10").number == 3);
  CHECK(parse_shard("10/10").count == 10);
  for (const std::string text :
       {"", "3", "/", "0/3", "4/3", "-1/3", "1/0", "1/3/5", "a/b", "1/100001", "1.0/3", " 1/3"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parse_shard(text), doctest::Contains("expected i/N"), InputError);
  }
}

TEST_CASE("shard: what is written is read back, and all of them make the whole") {
  const TempDir dir;
  const SweepPlan plan = plan_of(7);
  const auto results = results_of(plan);
  for (const std::int64_t i : {1, 2, 3}) {
    dir.write(file_name({i, 3}), shard_text(plan, {i, 3}, results));
  }
  const auto paths = shard_files(dir.path());
  REQUIRE(paths.size() == 3);
  CHECK(read_shard(paths[1]).shard.number == 2);
  CHECK(merged(plan, paths) == results);
  // The same points in other shards are the same results.
  dir.write(file_name({1, 2}), shard_text(plan, {1, 2}, results));
  CHECK(merged(plan, shard_files(dir.path())) == results);
}

TEST_CASE("shard: damage, other plans and conflicts are refused with file and line") {
  const TempDir dir;
  const SweepPlan plan = plan_of(4);
  auto results = results_of(plan);
  const std::string text = shard_text(plan, {1, 1}, results);
  const auto refused = [&](const std::string& content, std::int64_t line,
                           const std::string& fragment) {
    CAPTURE(fragment);
    const std::string path = dir.write("shards/" + file_name({2, 2}), content);
    try {
      merged(plan, shard_files(dir / "shards"));
      FAIL("was accepted");
    } catch (const InputError& error) {
      const Diagnostic& d = error.diagnostics().front();
      CAPTURE(to_string(d));
      CHECK(d.place.file == path);
      CHECK(d.place.line == line);
      CHECK(d.message.find(fragment) != std::string::npos);
    }
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string out = text;
    out.replace(out.find(from), from.size(), to);
    return out;
  };
  dir.write("shards/" + file_name({1, 1}), text);
  refused(replaced("{\"of\":\"key2\"}", "{\"of\":\"key9\"}"), 4, "has another result here than in");
  refused(replaced("{\"of\":\"key2\"}", "{\"of\": \"key2\"}"), 4, "has another result here");
  refused(replaced("\"key\":\"key3\"", "\"key\":\"key8\""), 5, "key8 is not in the plan");
  refused(replaced("\"status\":\"done\"", "\"status\" :\"done\""), 2, "as it was written");
  refused(text.substr(0, text.rfind("{\"key\"")), 4, "expected 4 results, got 3");
  refused(text.substr(0, text.size() - 20), 5, "");
  refused(replaced(plan_hash(plan), std::string(32, '0')), 1, "expected a shard of plan");
  refused(replaced("v4cap-sweep-shard", "something"), 1, "expected a shard of a sweep");
}

}  // namespace
}  // namespace v4cap
