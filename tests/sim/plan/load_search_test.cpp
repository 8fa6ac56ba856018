#include "sim/plan/load_search.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <set>

namespace v4cap {
namespace {

// The largest load of which every smaller one is kept too, by running all of them.
double exhaustive(int from, int to, const std::set<int>& failing) {
  int held = 0;
  for (int load = from; load <= to && !failing.contains(load); ++load) held = load;
  return held;
}

TEST_CASE("load search: whole loads find the edge that every load shows, from any hint") {
  for (int edge = 0; edge <= 40; ++edge) {
    for (const double hint : {1.0, 7.0, 20.0, 40.0, 500.0}) {
      std::set<int> failing;
      for (int load = edge + 1; load <= 40; ++load) failing.insert(load);
      const HeldLoad found = search_load({1, 40, 0, true}, hint, [&](double load) {
        return !failing.contains(static_cast<int>(load));
      });
      CAPTURE(edge);
      CAPTURE(hint);
      CHECK(found.held == exhaustive(1, 40, failing));
      CHECK(found.failing.has_value() == (edge < 40));
      if (found.failing) CHECK(*found.failing == edge + 1);
      CHECK_FALSE(found.noisy);
      CHECK(found.probes.size() <= 16);
    }
  }
}

TEST_CASE("load search: a load is run once") {
  std::multiset<double> run;
  search_load({1, 1000, 0, true}, 30, [&](double load) {
    run.insert(load);
    return load <= 333;
  });
  for (const double load : run) CHECK(run.count(load) == 1);
}

TEST_CASE("load search: within the tolerance of an edge between loads") {
  const HeldLoad found =
      search_load({0.01, 100, 0.02, false}, 1, [](double load) { return load <= 3.21; });
  CHECK(found.held <= 3.21);
  CHECK(found.held >= 3.21 / 1.021);
  CHECK(*found.failing > 3.21);
}

TEST_CASE("load search: a failure below a lucky load lowers the answer") {
  // 20 and above fail; 15 to 17 do by chance, which a bisection between 1 and 40 walks past.
  const auto keeps = [](double load) { return load < 20 && !(load >= 15 && load <= 17); };
  const HeldLoad found = search_load({1, 40, 0, true}, 18, keeps);
  CHECK(found.held == 14);
  CHECK(found.noisy);
}

TEST_CASE("load search: no failure lies below the answer, whatever the noise") {
  for (std::uint32_t noise = 1; noise <= 200; ++noise) {
    const auto keeps = [&](double load) {
      // Chance falls from 1 at 20 to 0 at 40; the same load always ends the same.
      std::uint32_t x = noise * 2654435761U + static_cast<std::uint32_t>(load) * 40503U;
      x ^= x >> 15U;
      x *= 2246822519U;
      x ^= x >> 13U;
      return static_cast<double>(x % 1000U) / 1000 > (load - 20) / 20;
    };
    const HeldLoad found = search_load({1, 64, 0, true}, 8, keeps);
    CAPTURE(noise);
    REQUIRE(found.failing.has_value());
    CHECK(found.held < *found.failing);
    CHECK(found.held >= 19);
    CHECK(found.held <= 40);
    for (const LoadProbe& p : found.probes) {
      if (p.load <= found.held) CHECK(p.kept);
    }
  }
}

TEST_CASE("load search: the ends of the range") {
  const HeldLoad all = search_load({2, 50, 0.05, true}, 10, [](double) { return true; });
  CHECK(all.held == 50);
  CHECK_FALSE(all.failing.has_value());
  const HeldLoad none = search_load({2, 50, 0.05, true}, 10, [](double) { return false; });
  CHECK(none.held == 0);
  CHECK(*none.failing == 2);
  const HeldLoad single = search_load({5, 5, 0.05, true}, 5, [](double) { return true; });
  CHECK(single.held == 5);
  CHECK(single.probes.size() == 1);
}

TEST_CASE("interval over seeds") {
  const SeedInterval one = interval_of({7});
  CHECK(one.mean == 7);
  CHECK(one.low == 7);
  CHECK_FALSE(one.t95_low.has_value());
  // Student's t for two degrees of freedom is 4.3027; the standard error of 1, 2, 3 is 1 / sqrt(3).
  const SeedInterval three = interval_of({3, 1, 2});
  CHECK(three.mean == 2);
  CHECK(three.low == 1);
  CHECK(three.high == 3);
  CHECK(*three.t95_high == doctest::Approx(2 + 4.30265 / std::sqrt(3.0)).epsilon(1e-5));
  CHECK(*three.t95_low == doctest::Approx(2 - 4.30265 / std::sqrt(3.0)).epsilon(1e-5));
}

}  // namespace
}  // namespace v4cap
