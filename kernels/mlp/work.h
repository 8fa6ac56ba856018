// Gated MLP whose weights every token uses: the shared expert of a mixture (clamped like the routed
// ones in V4) and the dense layers of V3 and of the GQA baseline. y = W2 (silu(W1 x) * W3 x).
// Source: DeepSeek-V4 inference reference (Expert as shared_experts); DeepSeek-V3 (MLP).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::mlp {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0, intermediate = 0;  // intermediate: on this rank
  double bytes_per_weight = 0;                // scales included
  Precision precision = Precision::fp8;
};

constexpr Work work(const Shape& s) {
  const double weights = 3 * real(s.hidden) * real(s.intermediate);
  Work w;
  w.add_flops(s.precision, real(s.tokens) * 2 * weights);
  w.weight_bytes = weights * s.bytes_per_weight;
  w.activation_bytes = real(s.tokens) * (2 * 2 * real(s.hidden) + real(s.intermediate));
  return w;
}

}  // namespace v4cap::kernels::mlp
