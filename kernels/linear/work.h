// Matrix product of the projections: Y_g[rows, out] = X_g[rows, in] * W_g[out, in]^T for every
// group g. One group for the plain projections (Wq_a and Wkv in one product, Wq_b, Wo_b); several
// for the grouped output projection of V4 (Wo_a: each group of heads has its own matrix) and for
// the per-head products that absorb MLA's up-projections.
//
// Checkpoint formats: FP8 e4m3 with one UE8M0 scale per 128x128 block (1 + 2^-14 B per weight), or
// BF16. Source: DeepSeek-V4 inference reference (Linear, Attention.wo_a); FP8 grouped form as
// DeepGEMM's einsum.
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::linear {

struct Shape {
  std::int64_t rows = 0;
  std::int64_t groups = 1;
  std::int64_t in = 0, out = 0;  // of one group
  double bytes_per_weight = 0;   // scales included
  Precision precision = Precision::fp8;
  std::int64_t bytes_per_output = 2;
};

constexpr Work work(const Shape& s) {
  const double weights = real(s.groups) * real(s.in) * real(s.out);
  Work w;
  w.add_flops(s.precision, 2 * real(s.rows) * weights);
  w.weight_bytes = weights * s.bytes_per_weight;
  w.activation_bytes = real(s.rows) * real(s.groups) * real(s.out) * real(s.bytes_per_output);
  return w;
}

}  // namespace v4cap::kernels::linear
