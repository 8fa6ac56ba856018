// Manifold-constrained hyper-connections, read side, once before attention and once before the
// experts. X[t] are the 4 residual streams of a token.
//   m = vec(X) fn^T * rsqrt(mean(vec(X)^2) + norm_eps)         fn [24, 4d] float
//   pre_j  = sigmoid(m_j * scale0 + base_j) + eps              j = 0..3
//   post_j = 2 sigmoid(m_{4+j} * scale1 + base_{4+j})
//   C      = softmax over each row of (m_{8..23} * scale2 + base)[4, 4], + eps;
//            columns / (sum + eps); then 19 times rows / (sum + eps), columns / (sum + eps)
//   y      = bf16(sum_j pre_j X_j)
// Before the head only pre and y are wanted: 4 mixes, post and comb null.
// Source: DeepSeek-V4 inference reference (hc_pre, hc_split_sinkhorn, hc_head).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/mhc_pre/work.h"

namespace v4cap::kernels::mhc_pre {

inline constexpr int kStreams = 4;
inline constexpr int kMixes = 24;
inline constexpr int kSinkhornIterations = 20;

struct Args {
  int tokens = 0;
  int hidden = 0;                // % 256 == 0
  int mixes = kMixes;            // 24, or 4 before the head
  const Bf16* x = nullptr;       // [tokens, 4, hidden]
  const float* fn = nullptr;     // [mixes, 4 * hidden]
  const float* scale = nullptr;  // [3]; [1] before the head
  const float* base = nullptr;   // [mixes]
  float norm_eps = 1e-6f, eps = 1e-6f;
  Bf16* y = nullptr;      // [tokens, hidden]
  float* post = nullptr;  // [tokens, 4]
  float* comb = nullptr;  // [tokens, 4, 4], C[i, j]
};

struct Expected {
  std::vector<double> y;     // [tokens, hidden]
  std::vector<double> post;  // [tokens, 4]
  std::vector<double> comb;  // [tokens, 16]
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::mhc_pre
