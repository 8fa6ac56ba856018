// Inverse RoPE of the attention's outputs and the FP8 quantiser of the output projection.
// Source: DeepSeek-V4 inference reference (Attention.forward).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::inverse_rope_quant {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t heads = 0, head_dim = 0;
};

constexpr Work work(const Shape& s) {
  const double channels = real(s.heads) * real(s.head_dim);
  Work w;
  w.flops_bf16 = real(s.tokens) * 3 * channels;
  w.activation_bytes = real(s.tokens) * channels * (2 + 1 + 4.0 / 128);
  return w;
}

}  // namespace v4cap::kernels::inverse_rope_quant
