// RMSNorm and the quantiser of the GEMM that follows: y = x * g * rsqrt(mean(x^2) + eps), then FP8
// e4m3 with one FP32 scale per 128 channels. Models without hyper-connections add the sublayer's
// output to their one residual stream in the same kernel. Source: DeepSeek-V4 inference reference
// (RMSNorm, act_quant).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::rmsnorm_quant {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  bool quantised = true;       // FP8 and scales out; else BF16
  bool adds_residual = false;  // reads the residual stream too and writes it back
};

constexpr Work work(const Shape& s) {
  const double d = real(s.hidden);
  const double out = s.quantised ? d * (1 + 4.0 / 128) : 2 * d;
  const double residual = s.adds_residual ? 4 * d : 0;
  Work w;
  w.flops_bf16 = real(s.tokens) * 4 * d;
  w.activation_bytes = real(s.tokens) * (2 * d + out + residual);
  return w;
}

}  // namespace v4cap::kernels::rmsnorm_quant
