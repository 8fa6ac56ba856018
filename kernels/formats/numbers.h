// The number formats of V4's weights and caches, as plain integer arithmetic: the same bits on a
// CPU and on every GPU. Kernels may use the hardware's conversions where these agree bit for bit
// (they do: round to nearest even, saturating).
//
//   bf16   1 sign, 8 exponent, 7 mantissa
//   e4m3   1 sign, 4 exponent (bias 7), 3 mantissa; largest 448; 0x7f is NaN; no infinity
//   e2m1   1 sign, 2 exponent (bias 1), 1 mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6
//   ue8m0  8 bits of exponent (bias 127): the value 2^(code - 127); 255 is NaN
//
// Source: Open Compute Project, 8-bit Floating Point and Microscaling Formats specifications.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/formats/host_device.h"

namespace v4cap::kernels {

// Storage of a bf16 number. Kernels read it as __nv_bfloat16, which has the same bits.
struct Bf16 {
  std::uint16_t bits;
};

V4CAP_HD constexpr std::uint32_t bits_of(float x) {
  return std::bit_cast<std::uint32_t>(x);
}
V4CAP_HD constexpr float float_of_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

V4CAP_HD constexpr float to_float(Bf16 x) {
  return float_of_bits(static_cast<std::uint32_t>(x.bits) << 16);
}

// Rounds to nearest, ties to even; a NaN stays one.
V4CAP_HD constexpr Bf16 to_bf16(float x) {
  const std::uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

V4CAP_HD constexpr float e4m3_to_float(std::uint8_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80u) << 24;
  const std::uint32_t magnitude = code & 0x7fu;
  if (magnitude == 0x7fu) return float_of_bits(sign | 0x7fffffffu);
  if (magnitude < 8) {  // subnormal: multiples of 2^-9
    const float value = static_cast<float>(magnitude) * 0.001953125f;
    return sign != 0 ? -value : value;
  }
  return float_of_bits(sign | ((magnitude << 20) + ((127u - 7u) << 23)));
}

// Rounds to nearest, ties to even; beyond 448 saturates; a NaN gives 0x7f.
V4CAP_HD constexpr std::uint8_t float_to_e4m3(float x) {
  const std::uint32_t bits = bits_of(x);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7f;
  if (magnitude >= 0x43e80000u) return static_cast<std::uint8_t>(sign | 0x7eu);  // 464 and more
  if (magnitude < 0x3c800000u) {                                                 // below 2^-6
    // Adding 2^14 leaves the multiple of 2^-9, rounded to even, in the low bits of the mantissa.
    const float shifted = float_of_bits(magnitude) + 16384.0f;
    return static_cast<std::uint8_t>(sign | (bits_of(shifted) - 0x46800000u));
  }
  const std::uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  return static_cast<std::uint8_t>(sign | ((rounded - ((127u - 7u) << 23)) >> 20));
}

V4CAP_HD constexpr float e2m1_to_float(std::uint8_t code) {
  const std::uint32_t magnitude = code & 7u;
  const float value = magnitude < 2 ? 0.5f * static_cast<float>(magnitude)
                                    : float_of_bits((magnitude << 22) + ((127u - 1u) << 23));
  return (code & 8u) != 0 ? -value : value;
}

// Rounds to nearest, ties to even (of the code); beyond 6 saturates.
V4CAP_HD constexpr std::uint8_t float_to_e2m1(float x) {
  const auto sign = static_cast<std::uint8_t>((bits_of(x) >> 28) & 8u);
  const float a = float_of_bits(bits_of(x) & 0x7fffffffu);
  std::uint8_t code = 7;
  if (a <= 0.25f) {
    code = 0;
  } else if (a < 0.75f) {
    code = 1;
  } else if (a <= 1.25f) {
    code = 2;
  } else if (a < 1.75f) {
    code = 3;
  } else if (a <= 2.5f) {
    code = 4;
  } else if (a < 3.5f) {
    code = 5;
  } else if (a <= 5.0f) {
    code = 6;
  }
  return static_cast<std::uint8_t>(sign | code);
}

// 2^(code - 127), as a normal float; code 0 gives 2^-127, a subnormal.
V4CAP_HD constexpr float ue8m0_to_float(std::uint8_t code) {
  return code == 0 ? float_of_bits(0x00400000u)
                   : float_of_bits(static_cast<std::uint32_t>(code) << 23);
}

// The exponent code of the smallest power of two that is not below x > 0, by integer operations on
// the bits: log2f rounds, and would be one binade off at powers of two.
V4CAP_HD constexpr std::uint8_t ue8m0_at_least(float x) {
  const std::uint32_t bits = bits_of(x);
  return static_cast<std::uint8_t>(((bits >> 23) & 0xffu) + ((bits & 0x7fffffu) != 0 ? 1u : 0u));
}

}  // namespace v4cap::kernels
