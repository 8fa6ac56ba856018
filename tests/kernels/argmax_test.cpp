// The reference of greedy sampling on rows that can be worked by hand.
#include "kernels/argmax/argmax.h"

#include <doctest/doctest.h>

#include <limits>

namespace v4cap::kernels::argmax {
namespace {

TEST_CASE("argmax: the smallest index among equals, rows may be strided") {
  const std::vector<float> logits = {1, 5, -2, 5, 99, -4, -3, -9, -3, 99};
  const std::vector<std::int32_t> expected = {1, 1};
  CHECK(reference({.rows = 2, .width = 4, .logits = logits.data(), .stride = 5}) == expected);
}

TEST_CASE("argmax: a NaN is never the largest, and without any number the first index is taken") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {kNan,           -1,
                                     kNan,           2,  //
                                     kMinusInfinity, kMinusInfinity,
                                     kNan,           kMinusInfinity};
  const std::vector<std::int32_t> expected = {3, 0};
  CHECK(reference({.rows = 2, .width = 4, .logits = logits.data(), .stride = 4}) == expected);
}

}  // namespace
}  // namespace v4cap::kernels::argmax
