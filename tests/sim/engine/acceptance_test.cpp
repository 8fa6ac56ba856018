#include "sim/engine/acceptance.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tests/dies.h"

namespace v4cap {
namespace {

double mean_of(const std::vector<double>& chances) {
  double mean = 0;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    mean += static_cast<double>(i + 1) * chances[i];
  }
  return mean;
}

TEST_CASE("acceptance: chances of a mean fall off by one factor and have that mean") {
  for (const std::int64_t drafts : {1, 2, 3, 8}) {
    CAPTURE(drafts);
    const auto most = static_cast<double>(drafts + 1);
    for (const double mean : {1.0, 1.2, 0.5 * (1 + most), 0.99 * most, most}) {
      CAPTURE(mean);
      const std::vector<double> chances = acceptance_of_mean(drafts, mean);
      REQUIRE(chances.size() == static_cast<std::size_t>(drafts + 1));
      double sum = 0;
      for (const double chance : chances) sum += chance;
      CHECK(sum == doctest::Approx(1));
      CHECK(mean_of(chances) == doctest::Approx(mean).epsilon(1e-12));
    }
  }
  // Three drafts accepted with 1/2 each: 1 + 1/2 + 1/4 + 1/8.
  const std::vector<double> half = acceptance_of_mean(3, 1.875);
  CHECK(half[0] == doctest::Approx(0.5));
  CHECK(half[1] == doctest::Approx(0.25));
  CHECK(half[2] == doctest::Approx(0.125));
  CHECK(half[3] == doctest::Approx(0.125));
}

TEST_CASE("acceptance: the extremes are certain") {
  const Acceptance all(acceptance_of_mean(3, 4), 1), none(acceptance_of_mean(3, 1), 1);
  CHECK(all.drafts() == 3);
  for (std::int64_t step = 0; step < 1000; ++step) {
    CHECK(all.tokens(7, step) == Tokens{4});
    CHECK(none.tokens(7, step) == Tokens{1});
    CHECK(Acceptance{}.tokens(7, step) == Tokens{1});
  }
}

// 100,000 draws: the mean must lie within 3.29 standard errors (99.9 %) of the configured one.
TEST_CASE("acceptance: sampled lengths have the configured mean and shares") {
  const std::vector<double> chances = acceptance_of_mean(3, 2.97);
  double variance = 0;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    variance += chances[i] * std::pow(static_cast<double>(i + 1) - 2.97, 2);
  }
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    CAPTURE(seed);
    const Acceptance acceptance(chances, seed);
    constexpr std::int64_t kRequests = 100, kSteps = 1000;
    std::vector<double> counts(chances.size());
    double sum = 0;
    for (std::uint32_t request = 0; request < kRequests; ++request) {
      for (std::int64_t step = 0; step < kSteps; ++step) {
        const Tokens tokens = acceptance.tokens(request, step);
        sum += static_cast<double>(tokens.value);
        counts[static_cast<std::size_t>(tokens.value - 1)] += 1;
      }
    }
    constexpr auto n = static_cast<double>(kRequests * kSteps);
    CHECK(std::abs(sum / n - 2.97) < 3.29 * std::sqrt(variance / n));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      CAPTURE(i);
      CHECK(std::abs(counts[i] / n - chances[i]) <
            4 * std::sqrt(chances[i] * (1 - chances[i]) / n));
    }
  }
}

TEST_CASE("acceptance: a draw depends on seed, request and step, each on its own") {
  const std::vector<double> chances = acceptance_of_mean(8, 4.5);
  const Acceptance one(chances, 1), again(chances, 1), other(chances, 2);
  int by_seed = 0, by_request = 0, by_step = 0;
  for (std::int64_t step = 0; step < 200; ++step) {
    CHECK(one.tokens(5, step) == again.tokens(5, step));
    by_seed += one.tokens(5, step) != other.tokens(5, step) ? 1 : 0;
    by_request += one.tokens(5, step) != one.tokens(6, step) ? 1 : 0;
    by_step += one.tokens(5, step) != one.tokens(5, step + 1) ? 1 : 0;
  }
  CHECK(by_seed > 50);
  CHECK(by_request > 50);
  CHECK(by_step > 50);
}

TEST_CASE("acceptance: means and chances that cannot be are our mistake") {
  CHECK(dies([] { acceptance_of_mean(2, 3.1); }));
  CHECK(dies([] { acceptance_of_mean(2, 0.9); }));
  CHECK(dies([] { Acceptance({0.5, 0.4}, 1); }));
  CHECK(dies([] { Acceptance({1.5, -0.5}, 1); }));
  CHECK_FALSE(dies([] { Acceptance({0.5, 0.5}, 1); }));
}

}  // namespace
}  // namespace v4cap
