#include "sim/cost/least_squares.h"

#include <doctest/doctest.h>

namespace v4cap {
namespace {

TEST_CASE("coefficients that made the rows are found again") {
  RelativeLeastSquares fit(3);
  for (const std::vector<double>& x :
       {std::vector<double>{1, 0, 4}, {1, 3, 1}, {1, 7, 2}, {1, 2, 9}, {1, 100, 50}}) {
    fit.add(x, 5 * x[0] + 2 * x[1] + 0.25 * x[2]);
  }
  const std::vector<double> c = fit.solution();
  CHECK(c[0] == doctest::Approx(5));
  CHECK(c[1] == doctest::Approx(2));
  CHECK(c[2] == doctest::Approx(0.25));
}

TEST_CASE("what would be negative is 0, and the rest is the best without it") {
  RelativeLeastSquares fit(2);  // exactly 10 - x
  fit.add({1, 1}, 9);
  fit.add({1, 5}, 5);
  const std::vector<double> c = fit.solution();
  CHECK(c[1] == 0);
  // min (c/9 - 1)^2 + (c/5 - 1)^2
  CHECK(c[0] == doctest::Approx((1.0 / 9 + 1.0 / 5) / (1.0 / 81 + 1.0 / 25)));
}

TEST_CASE("unknowns that no row has and unknowns that repeat others do no harm") {
  RelativeLeastSquares fit(3);
  for (const double x : {1.0, 2.0, 8.0}) fit.add({x, 2 * x, 0}, 6 * x);
  const std::vector<double> c = fit.solution();
  CHECK(c[0] + 2 * c[1] == doctest::Approx(6));
  CHECK(c[2] == 0);
  CHECK(RelativeLeastSquares(2).solution() == std::vector<double>{0, 0});
}

}  // namespace
}  // namespace v4cap
