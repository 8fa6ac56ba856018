// Manifold-constrained hyper-connections, read side. X[S, d] are the S residual streams of a token
// (S = 4).
//   m = (vec(X) * fn^T) * rsqrt(mean(vec(X)^2) + eps)      fn [S*(S+2), S*d] fp32
//   pre_j = sigmoid(m_j s0 + b_j) + eps; post_j = 2 sigmoid(m_{S+j} s1 + b_{S+j});
//   C = Sinkhorn(softmax(m_{2S..} s2 + b)), 20 iterations on S x S
//   y = sum_j pre_j X_j
// It runs before attention and before the experts of every layer; before the head only `pre` is
// computed (S mixes instead of S*(S+2)). The product runs in TF32, at half the BF16 rate; it is
// counted as BF16 because at about 20 FLOP/B memory binds it on every GPU here in either precision.
// Source: DeepSeek-V4 inference reference (hc_pre, hc_split_sinkhorn, hc_head).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::mhc_pre {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t streams = 0;
  std::int64_t mixes = 0;  // rows of fn: S*(S+2), or S before the head
};

constexpr Work work(const Shape& s) {
  const double wide = real(s.streams) * real(s.hidden);
  Work w;
  w.flops_bf16 = real(s.tokens) * (2 * real(s.mixes) * wide + 2 * wide);
  w.weight_bytes = real(s.mixes) * wide * 4;
  w.activation_bytes = real(s.tokens) * (2 * wide + 2 * real(s.hidden));
  return w;
}

}  // namespace v4cap::kernels::mhc_pre
