#include "sim/core/time.h"

#include <doctest/doctest.h>

#include <string>

#include <limits>
#include <stdexcept>

namespace v4cap {
namespace {

TEST_CASE("seconds become the nearest nanosecond, halves away from zero") {
  struct Row {
    std::string name;
    double seconds;
    std::int64_t ns;
  };
  const Row rows[] = {
      {"zero", 0, 0},
      {"whole", 3, 3'000'000'000},
      {"below half", 1.4e-9, 1},
      {"half", 0.5e-9, 1},
      {"minus half", -0.5e-9, -1},
      {"above half", 1.6e-9, 2},
      {"a year", 31536000, 31'536'000'000'000'000},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(duration_from_seconds(row.seconds).count() == row.ns);
  }
  CHECK(to_seconds(Duration{1'500'000'000}) == 1.5);
  CHECK(to_ms(Duration{1'500'000}) == 1.5);
}

TEST_CASE("a time that is not finite or beyond 292 years is refused") {
  const double nowhere[] = {std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN(), 9.3e9, -9.3e9};
  for (const double seconds : nowhere) {
    CAPTURE(seconds);
    CHECK_THROWS_AS(duration_from_seconds(seconds), std::out_of_range);
  }
  CHECK_NOTHROW(duration_from_seconds(9.1e9));
}

}  // namespace
}  // namespace v4cap
