// LM head: logits[V] = Whead x in FP32 out, for the rows that emit a token only. Under tensor
// parallelism the vocabulary is divided. Source: DeepSeek-V4 inference reference (ParallelHead;
// checkpoint BF16).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::head {

struct Shape {
  std::int64_t rows = 0;
  std::int64_t hidden = 0, vocab = 0;  // vocab: on this rank
  double bytes_per_weight = 2;
};

constexpr Work work(const Shape& s) {
  const double weights = real(s.hidden) * real(s.vocab);
  Work w;
  w.flops_bf16 = real(s.rows) * 2 * weights;
  w.weight_bytes = weights * s.bytes_per_weight;
  w.activation_bytes = real(s.rows) * 4 * real(s.vocab);
  return w;
}

}  // namespace v4cap::kernels::head
