// V4's activation quantisers. The scale of a block is the smallest power of two s with max|x| / s
// within the format's range; the quotient by the range is a float product, as in the reference, and
// then only exponents are handled.
//
//   act_fp8(x; B)   a = max(|x|_max, 1e-4),     s = 2^ceil(log2(a / 448)), code = e4m3(x / s)
//   act_fp4(x; 32)  a = max(|x|_max, 6*2^-126), s = 2^ceil(log2(a / 6)),   code = e2m1(x / s)
//
// B is 128 for inputs of a GEMM and 64 for the channels without RoPE of a KV entry.
// Source: DeepSeek-V4 inference reference (act_quant, fp4_act_quant).
#pragma once

#include <cstdint>

#include "kernels/formats/host_device.h"
#include "kernels/formats/numbers.h"

namespace v4cap::kernels {

inline constexpr int kGemmScaleBlock = 128;   // channels that share a scale in an FP8 GEMM's input
inline constexpr int kExpertScaleBlock = 32;  // channels that share a scale in an FP4 weight

// Scale of a block whose largest magnitude is `largest`, as a UE8M0 code.
V4CAP_HD constexpr std::uint8_t fp8_block_scale(float largest) {
  const float a = largest > 1e-4f ? largest : 1e-4f;
  return ue8m0_at_least(a * (1.0f / 448.0f));
}
V4CAP_HD constexpr std::uint8_t fp4_block_scale(float largest) {
  constexpr float kSmallest = 6.0f * 1.17549435e-38f;
  const float a = largest > kSmallest ? largest : kSmallest;
  return ue8m0_at_least(a * (1.0f / 6.0f));
}

// 1 / scale, exact; codes 1..253.
V4CAP_HD constexpr float inverse_scale(std::uint8_t code) {
  return ue8m0_to_float(static_cast<std::uint8_t>(254 - code));
}

}  // namespace v4cap::kernels
