// Manifold-constrained hyper-connections, write side: X'_j = post_j * F(y) + sum_i C[i, j] X_i over
// the S residual streams, after attention and after the experts. post and C come from mhc_pre.
// Source: DeepSeek-V4 inference reference (hc_post).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::mhc_post {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t streams = 0;
};

constexpr Work work(const Shape& s) {
  const double d = real(s.hidden);
  const double streams = real(s.streams);
  Work w;
  w.flops_bf16 = real(s.tokens) * 2 * (streams * streams + streams) * d;
  w.activation_bytes = real(s.tokens) * (2 * streams * d + 2 * d + 2 * streams * d);
  return w;
}

}  // namespace v4cap::kernels::mhc_post
