// The database of a sweep: what it keeps, and what it refuses.
#include "sim/sweep/result_store.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <thread>

#include "tests/temp_dir.h"

namespace v4cap {
namespace {

PointResult result(const std::string& key, const std::string& document = "{\"hit_rate\":0.5}") {
  return {key, true, document};
}

TEST_CASE("store: results are kept, each once, and found again") {
  const TempDir dir;
  const PointResult infeasible{"b", false, "does not fit"};
  {
    ResultStore store(dir / "s.sqlite");
    store.add(result("a"));
    store.add(infeasible);
    store.add(result("a"));
  }
  const ResultStore store(dir / "s.sqlite");
  CHECK(store.keys() == std::set<std::string>{"a", "b"});
  CHECK(store.find("a") == result("a"));
  CHECK(store.find("b") == infeasible);
  CHECK_FALSE(store.find("c").has_value());
}

TEST_CASE("store: two different results of one point are a conflict") {
  const TempDir dir;
  ResultStore store(dir / "s.sqlite");
  store.add(result("a"));
  CHECK_THROWS_WITH_AS(store.add(result("a", "{\"hit_rate\":0.6}")),
                       doctest::Contains("two different results"), RunError);
  CHECK_THROWS_AS(store.add({"a", false, "does not fit"}), RunError);
  CHECK(store.find("a") == result("a"));
}

TEST_CASE("store: several threads may add at once") {
  const TempDir dir;
  ResultStore store(dir / "s.sqlite");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&store, t] {
      for (int i = 0; i < 20; ++i) store.add(result(std::to_string(20 * t + i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(store.keys().size() == 80);
}

TEST_CASE("store: other files are refused and left as they are") {
  const TempDir dir;
  const std::string text = dir.write("text.sqlite", std::string(5000, 'x'));
  CHECK_THROWS_WITH_AS(ResultStore{text}, doctest::Contains("got something else"), InputError);

  const auto execute = [&](const std::string& file, const char* sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
    REQUIRE(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  };
  execute(dir / "other.sqlite", "CREATE TABLE results(a)");
  CHECK_THROWS_WITH_AS(ResultStore{dir / "other.sqlite"}, doctest::Contains("got another database"),
                       InputError);
  { const ResultStore store(dir / "newer.sqlite"); }
  execute(dir / "newer.sqlite", "PRAGMA user_version = 2");
  CHECK_THROWS_WITH_AS(ResultStore{dir / "newer.sqlite"},
                       doctest::Contains("this one is newer (2)"), InputError);
  // What a process that was killed at once leaves.
  dir.write("empty.sqlite", "");
  ResultStore store(dir / "empty.sqlite");
  store.add(result("a"));
}

}  // namespace
}  // namespace v4cap
