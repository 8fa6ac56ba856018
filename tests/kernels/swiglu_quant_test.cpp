// The reference of clamped SwiGLU + FP8 quantiser on numbers that can be worked by hand.
#include "kernels/swiglu_quant/swiglu_quant.h"

#include <doctest/doctest.h>

#include <cmath>

namespace v4cap::kernels::swiglu_quant {
namespace {

double silu(double g) {
  return g / (1 + std::exp(-g));
}

TEST_CASE("swiglu_quant: the gate is clamped from above only, the other factor on both sides") {
  std::vector<Bf16> gate_up(2 * 256, to_bf16(0.0f));
  const auto put = [&](std::size_t channel, float gate, float up) {
    gate_up[channel] = to_bf16(gate);
    gate_up[256 + channel] = to_bf16(up);
  };
  put(0, 2, 3);
  put(1, 50, 3);
  put(2, -50, 3);
  put(3, 2, 50);
  put(255, 2, -50);
  const Expected e = reference({.rows = 1, .intermediate = 256, .gate_up = gate_up.data()});
  CHECK(e.activated[0] == doctest::Approx(3 * silu(2)));
  CHECK(e.activated[1] == doctest::Approx(3 * silu(10)));
  CHECK(e.activated[2] == doctest::Approx(3 * silu(-50)));
  CHECK(e.activated[3] == doctest::Approx(10 * silu(2)));
  CHECK(e.activated[255] == doctest::Approx(-10 * silu(2)));
}

TEST_CASE("swiglu_quant: each block of 128 is quantised by a power of two of its own") {
  std::vector<Bf16> gate_up(2 * 256, to_bf16(0.0f));
  gate_up[0] = to_bf16(10.0f);
  gate_up[256] = to_bf16(1.0f);  // 10 * sigmoid(10) = 9.9995, bf16 10
  gate_up[130] = to_bf16(10.0f);
  gate_up[256 + 130] = to_bf16(10.0f);  // bf16 100
  const Expected e = reference({.rows = 1, .intermediate = 256, .gate_up = gate_up.data()});
  CHECK(e.dequantised[0] == 10);    // 10 / 2^-5 = 320, a code
  CHECK(e.dequantised[130] == 96);  // 100 / 2^-2 = 400, codes 384 and 416: the even one
}

}  // namespace
}  // namespace v4cap::kernels::swiglu_quant
