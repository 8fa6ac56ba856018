// Router: s = sqrt(softplus(Wgate x)) in FP32 (V3: sigmoid), the top-k experts of s plus a bias,
// and their weights s / sum * scale. In the first layers of V4 a table from token id to experts
// replaces the choice; the scores are computed all the same. Source: DeepSeek-V4 inference
// reference (Gate).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::router {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t experts = 0, active = 0;  // routed experts; chosen per token
  double bytes_per_weight = 2;
};

constexpr Work work(const Shape& s) {
  const double weights = real(s.hidden) * real(s.experts);
  Work w;
  w.flops_bf16 = real(s.tokens) * 2 * weights;
  w.weight_bytes = weights * s.bytes_per_weight;
  w.activation_bytes = real(s.tokens) * real(s.active) * 8;  // index and weight
  return w;
}

}  // namespace v4cap::kernels::router
