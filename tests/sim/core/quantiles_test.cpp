#include "sim/core/quantiles.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/random.h"

namespace v4cap {
namespace {

TEST_CASE("quantiles equal numpy.quantile(method='linear')") {
  struct Row {
    std::string name;
    std::vector<double> sorted;
    double q, expected;
  };
  // numpy's rule: the value at index (n - 1) q of the sorted sample, interpolated.
  const Row rows[] = {
      {"one value", {7}, 0.99, 7},
      {"lowest", {1, 2, 4}, 0, 1},
      {"highest", {1, 2, 4}, 1, 4},
      {"on an order statistic", {1, 2, 4}, 0.5, 2},
      {"between two", {1, 2, 4}, 0.75, 3},
      {"p99 of eleven", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100}, 0.99, 90.9},
      {"p10 of four", {10, 20, 30, 40}, 0.1, 13},
      {"p90 of four", {10, 20, 30, 40}, 0.9, 37},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(quantile_of_sorted(row.sorted, row.q) == doctest::Approx(row.expected).epsilon(1e-12));
  }
}

TEST_CASE("describe: moments and quantiles of a sample in any order") {
  const Distribution d = describe({40, 10, 30, 20});
  CHECK(d.count == 4);
  CHECK(d.sum == 100);
  CHECK(d.mean == 25);
  CHECK(d.min == 10);
  CHECK(d.max == 40);
  CHECK(d.stddev == doctest::Approx(11.180339887498949).epsilon(1e-14));  // population
  CHECK(d.p1 == doctest::Approx(10.3));
  CHECK(d.p5 == doctest::Approx(11.5));
  CHECK(d.p25 == doctest::Approx(17.5));
  CHECK(d.p50 == 25);
  CHECK(d.p75 == doctest::Approx(32.5));
  CHECK(d.p95 == doctest::Approx(38.5));
  CHECK(d.p99 == doctest::Approx(39.7));
  CHECK(describe({}).count == 0);
}

TEST_CASE("describe: the sum does not depend on the order given") {
  std::vector<double> sample;
  for (int i = 1; i <= 1000; ++i) sample.push_back(1.0 / i);
  const Distribution ascending = describe(sample);
  std::reverse(sample.begin(), sample.end());
  const Distribution descending = describe(sample);
  CHECK(ascending.sum == descending.sum);
  CHECK(ascending.stddev == descending.stddev);
}

TEST_CASE("a long sample is described as its sorted values are, whatever its order and signs") {
  RandomEngine random = RandomStreams(5).stream("long sample");
  for (const int shift : {0, 20, 40, 60}) {
    std::vector<double> sample;
    for (int i = 0; i < 20'000; ++i) {
      const auto bits = static_cast<std::int64_t>(random()) >> shift;
      sample.push_back(i % 7 == 0 ? 0.0 : static_cast<double>(bits) / 3);
    }
    std::vector<double> sorted = sample;
    std::sort(sorted.begin(), sorted.end());
    double sum = 0;
    for (const double x : sorted) sum += x;
    const Distribution d = describe(sample);
    CHECK(d.sum == sum);
    CHECK(d.min == sorted.front());
    CHECK(d.max == sorted.back());
    CHECK(d.p1 == quantile_of_sorted(sorted, 0.01));
    CHECK(d.p50 == quantile_of_sorted(sorted, 0.50));
    CHECK(d.p99 == quantile_of_sorted(sorted, 0.99));
  }
}

TEST_CASE("a long sample of numbers that differ in their last bits alone is sorted, too") {
  RandomEngine random = RandomStreams(6).stream("last bits");
  for (const int few : {0, 1, 100}) {  // of them differ, or all
    std::vector<double> sample;
    for (int i = 0; i < 20'000; ++i) {
      const bool differs = few == 0 || i % (20'000 / few) == 0;
      sample.push_back(differs ? 1 + static_cast<double>(random() % 1'000'000) * 0x1p-52 : 1.0);
    }
    std::vector<double> sorted = sample;
    std::sort(sorted.begin(), sorted.end());
    const Distribution d = describe(sample);
    CHECK(d.min == sorted.front());
    CHECK(d.max == sorted.back());
    CHECK(d.p1 == quantile_of_sorted(sorted, 0.01));
    CHECK(d.p25 == quantile_of_sorted(sorted, 0.25));
    CHECK(d.p50 == quantile_of_sorted(sorted, 0.50));
    CHECK(d.p99 == quantile_of_sorted(sorted, 0.99));
  }
}

}  // namespace
}  // namespace v4cap
