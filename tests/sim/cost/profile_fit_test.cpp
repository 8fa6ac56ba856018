#include "sim/cost/profile_fit.h"

#include <doctest/doctest.h>

#include <cmath>
#include <span>

namespace v4cap {
namespace {

using enum Interpolation;

std::vector<Sample> plane() {
  std::vector<Sample> samples;
  for (const double batch : {1.0, 2.0, 4.0, 8.0}) {
    for (const double past : {1.0, 1024.0, 2048.0, 8192.0, 65536.0}) {
      if (batch * past <= 65536 * 2) samples.push_back({{batch, past}, 50 + batch * past / 500});
    }
  }
  return samples;
}

TEST_CASE("what interpolation reproduces has no held-out error and is thinned to the corners") {
  const std::vector<Interpolation> axes = {linear, linear};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::vector<double> errors = held_out_errors(plane(), axes, axis);
    CHECK(errors.size() > 5);
    for (const double e : errors) CHECK(e == doctest::Approx(0));
  }
  const std::vector<Sample> kept = thinned(plane(), axes, 0.5);
  CHECK(kept.size() < plane().size());
  const SampleGrid grid(axes, kept);
  for (const Sample& s : plane()) {
    const SampleTime got = grid.at(std::span(s.at.data(), 2));
    CHECK(got.us == doctest::Approx(s.us).epsilon(0.005));
    CHECK(got.kind != SampleKind::extrapolated);
  }
}

TEST_CASE("thinning keeps a step and stays within the tolerance elsewhere") {
  std::vector<Sample> samples;
  for (int m = 1; m <= 200; ++m) {
    samples.push_back({{static_cast<double>(m)}, 20 + 0.1 * m + (m > 64 ? 5 : 0) + 0.02 * (m % 3)});
  }
  const std::vector<Sample> kept = thinned(samples, {linear}, 0.7);
  CHECK(kept.size() < 10);
  const SampleGrid grid({linear}, kept);
  for (const Sample& s : samples) {
    CHECK(std::abs(grid.at(std::span(s.at.data(), 1)).us / s.us - 1) <= 0.007);
  }
}

TEST_CASE("held-out errors are of interior lines only, by the stated interpolation") {
  const std::vector<Sample> samples = {{{1}, 10}, {{2}, 12}, {{4}, 14}, {{8}, 30}};
  // At 2: 10 + (14 - 10) / 3 = 11.33 for 12. At 4: 12 + (30 - 12) / 3 = 18 for 14.
  const std::vector<double> errors = held_out_errors(samples, {linear}, 0);
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] == doctest::Approx(100 * (1 - 11.3333333 / 12)));
  CHECK(errors[1] == doctest::Approx(100 * (18.0 / 14 - 1)));
  const HeldOutError e = held_out_summary(errors);
  CHECK(e.samples == 2);
  CHECK(e.worst_pct == doctest::Approx(errors[1]));
  CHECK(e.median_pct == doctest::Approx((errors[0] + errors[1]) / 2));
  CHECK(held_out_summary({}).samples == 0);
}

TEST_CASE("the interpolation with the least held-out error is taken, linear where a value is 0") {
  ProfileFamily family;
  family.axes = {{"tokens", "tokens"}};
  RawSeries power;
  for (double x = 1; x <= 4096; x *= 4) power.samples.push_back({{x}, 3 * std::sqrt(x)});
  const FittedFamily logs = fit_family(family, {power}, 0.5);
  CHECK(logs.family.axes[0].interpolation == log);
  CHECK(logs.family.held_out.worst_pct < 1e-6);
  CHECK(logs.kept == 2);
  CHECK(logs.family.rows == 7);
  power.samples.push_back({{0}, 1});
  const FittedFamily with_zero = fit_family(family, {power}, 0.5);
  CHECK(with_zero.family.axes[0].interpolation == linear);
  CHECK(with_zero.family.held_out.median_pct > 1);
}

}  // namespace
}  // namespace v4cap
