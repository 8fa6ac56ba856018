// The reference of RMSNorm + FP8 quantiser on rows that can be worked by hand.
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"

#include <doctest/doctest.h>

#include <cmath>

namespace v4cap::kernels::rmsnorm_quant {
namespace {

TEST_CASE("rmsnorm_quant: a constant row becomes its weight") {
  const std::vector<Bf16> x(2 * 256, to_bf16(-3.0f));
  std::vector<float> weight(256, 1.0f);
  weight[200] = 2.0f;
  const Expected e =
      reference({.rows = 2, .width = 256, .x = x.data(), .x_stride = 256, .weight = weight.data()});
  CHECK(e.normed[0] == doctest::Approx(-1.0).epsilon(1e-6));
  CHECK(e.normed[256 + 200] == doctest::Approx(-2.0).epsilon(1e-6));
  CHECK(e.dequantised[0] == -1.0);
  CHECK(e.dequantised[256 + 200] == -2.0);
}

TEST_CASE("rmsnorm_quant: each block of 128 has a scale of its own, rows may be strided") {
  std::vector<Bf16> x(300, to_bf16(1e4f));  // what lies between the rows must not be read
  for (int c = 0; c < 128; ++c) x[static_cast<std::size_t>(c)] = to_bf16(0.01f);
  for (int c = 128; c < 256; ++c) x[static_cast<std::size_t>(c)] = to_bf16(500.0f);
  const Expected e = reference({.rows = 1, .width = 256, .x = x.data(), .x_stride = 300});
  CHECK(e.normed[0] == static_cast<double>(to_float(to_bf16(0.01f))));
  // 0.01 / 2^-15 = 328, representable steps of 32 there; 500 / 2 = 250, steps of 16.
  CHECK(std::fabs(e.dequantised[0] - 0.01) <= 16 * std::ldexp(1.0, -15));
  CHECK(e.dequantised[128] == 2 * 256.0);
}

}  // namespace
}  // namespace v4cap::kernels::rmsnorm_quant
