#include "sim/core/quantile_sketch.h"

#include <doctest/doctest.h>

#include <boost/random/lognormal_distribution.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "sim/core/random.h"

namespace v4cap {
namespace {

Distribution sketched(const std::vector<double>& sample) {
  QuantileSketch sketch;
  for (const double x : sample) sketch.add(x);
  return sketch.describe();
}

void check_close(const Distribution& sketch, const Distribution& exact) {
  CHECK(sketch.count == exact.count);
  CHECK(sketch.min == exact.min);
  CHECK(sketch.max == exact.max);
  CHECK(sketch.mean == doctest::Approx(exact.mean).epsilon(1e-12));
  CHECK(sketch.stddev == doctest::Approx(exact.stddev).epsilon(1e-9));
  for (double Distribution::*q : {&Distribution::p1, &Distribution::p5, &Distribution::p10,
                                  &Distribution::p25, &Distribution::p50, &Distribution::p75,
                                  &Distribution::p90, &Distribution::p95, &Distribution::p99}) {
    CHECK(std::abs(sketch.*q - exact.*q) <= QuantileSketch::kRelativeError * exact.*q);
  }
}

TEST_CASE("quantile sketch: within its error of the exact quantiles, over many magnitudes") {
  RandomEngine engine(7);
  for (const double sigma : {0.01, 1.0, 6.0}) {
    CAPTURE(sigma);
    boost::random::lognormal_distribution<double> draw(2, sigma);
    std::vector<double> sample;
    for (int i = 0; i < 20'000; ++i) sample.push_back(draw(engine));
    check_close(sketched(sample), describe(sample));
  }
}

TEST_CASE("quantile sketch: zeros, few values, powers of two") {
  for (const std::vector<double>& sample :
       {std::vector<double>{0, 0, 0}, {0, 0, 3}, {5}, {1, 2}, {512, 511.999, 256, 1e-9, 1e12}}) {
    CAPTURE(sample.size());
    check_close(sketched(sample), describe(sample));
  }
  CHECK(sketched({}).count == 0);
}

TEST_CASE("quantile sketch: quantiles do not depend on the order given") {
  std::vector<double> sample;
  for (int i = 1; i <= 5'000; ++i) sample.push_back(1e6 / i);
  const Distribution down = sketched(sample);
  const Distribution up = sketched({sample.rbegin(), sample.rend()});
  CHECK(down.p50 == up.p50);
  CHECK(down.p99 == up.p99);
  CHECK(down.p1 == up.p1);
}

}  // namespace
}  // namespace v4cap
