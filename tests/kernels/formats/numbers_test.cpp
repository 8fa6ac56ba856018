// The number formats against their definitions: every code of the 8- and 4-bit ones, every halfway
// point between neighbours, and what lies beyond the ends.
#include "kernels/formats/numbers.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/formats/quantisers.h"

namespace v4cap::kernels {
namespace {

// Sign, exponent and mantissa as the specification spells them.
double e4m3_by_definition(int code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const double value =
      exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 7 - 3);
  return (code & 0x80) != 0 ? -value : value;
}

TEST_CASE("e4m3: every code means what the specification says and comes back") {
  for (int code = 0; code < 256; ++code) {
    CAPTURE(code);
    const auto byte = static_cast<std::uint8_t>(code);
    if ((code & 0x7f) == 0x7f) {
      CHECK(std::isnan(e4m3_to_float(byte)));
      continue;
    }
    CHECK(static_cast<double>(e4m3_to_float(byte)) == e4m3_by_definition(code));
    CHECK(float_to_e4m3(e4m3_to_float(byte)) == byte);
  }
}

TEST_CASE("e4m3: halfway goes to the even code, anything nearer to the nearer one") {
  for (int code = 0; code < 0x7e; ++code) {
    CAPTURE(code);
    const float low = e4m3_to_float(static_cast<std::uint8_t>(code));
    const float high = e4m3_to_float(static_cast<std::uint8_t>(code + 1));
    const float middle = 0.5f * (low + high);
    CHECK(float_to_e4m3(middle) == (code % 2 == 0 ? code : code + 1));
    CHECK(float_to_e4m3(std::nextafter(middle, 0.0f)) == code);
    CHECK(float_to_e4m3(std::nextafter(middle, 500.0f)) == code + 1);
    CHECK(float_to_e4m3(-std::nextafter(middle, 500.0f)) == ((code + 1) | 0x80));
  }
}

TEST_CASE("e4m3: beyond 448 saturates, NaN stays one") {
  CHECK(float_to_e4m3(449.0f) == 0x7e);
  CHECK(float_to_e4m3(463.9f) == 0x7e);
  CHECK(float_to_e4m3(464.0f) == 0x7e);
  CHECK(float_to_e4m3(-1e30f) == 0xfe);
  CHECK(float_to_e4m3(std::numeric_limits<float>::infinity()) == 0x7e);
  CHECK(float_to_e4m3(std::numeric_limits<float>::quiet_NaN()) == 0x7f);
}

TEST_CASE("e2m1: every code, halfway to even, saturation") {
  constexpr float kValues[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (std::uint8_t code = 0; code < 8; ++code) {
    CAPTURE(int{code});
    CHECK(e2m1_to_float(code) == kValues[code]);
    CHECK(e2m1_to_float(static_cast<std::uint8_t>(code | 8)) == -kValues[code]);
    CHECK(float_to_e2m1(kValues[code]) == code);
    if (code == 7) continue;
    const float middle = 0.5f * (kValues[code] + kValues[code + 1]);
    CHECK(float_to_e2m1(middle) == (code % 2 == 0 ? code : code + 1));
    CHECK(float_to_e2m1(std::nextafter(middle, 0.0f)) == code);
    CHECK(float_to_e2m1(-std::nextafter(middle, 9.0f)) == ((code + 1) | 8));
  }
  CHECK(float_to_e2m1(100.0f) == 7);
}

TEST_CASE("bf16 rounds to nearest even") {
  CHECK(to_bf16(1.0f).bits == 0x3f80);
  CHECK(to_bf16(float_of_bits(0x3f808000)).bits == 0x3f80);  // halfway, even below
  CHECK(to_bf16(float_of_bits(0x3f818000)).bits == 0x3f82);  // halfway, even above
  CHECK(to_bf16(float_of_bits(0x3f808001)).bits == 0x3f81);
  CHECK(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("block scales are the smallest power of two that keeps the block in range") {
  for (float largest = 1e-4f; largest < 1e6f; largest *= 1.37f) {
    CAPTURE(largest);
    const float fp8 = ue8m0_to_float(fp8_block_scale(largest));
    CHECK(largest / fp8 <= 448.0f * (1 + 1e-6f));
    CHECK(largest / (0.5f * fp8) > 448.0f * (1 - 1e-6f));
    CHECK(fp8 * inverse_scale(fp8_block_scale(largest)) == 1.0f);
    const float fp4 = ue8m0_to_float(fp4_block_scale(largest));
    CHECK(largest / fp4 <= 6.0f * (1 + 1e-6f));
    CHECK(largest / (0.5f * fp4) > 6.0f * (1 - 1e-6f));
  }
  // At exact powers of two of the range the quotient is 1 and the scale must not jump a binade.
  for (int exponent = -6; exponent < 20; ++exponent) {
    CAPTURE(exponent);
    CHECK(ue8m0_to_float(fp4_block_scale(std::ldexp(6.0f, exponent))) ==
          std::ldexp(1.0f, exponent));
  }
  CHECK(fp8_block_scale(0) == fp8_block_scale(1e-4f));  // a block of zeros has a scale too
}

}  // namespace
}  // namespace v4cap::kernels
