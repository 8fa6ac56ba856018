// Embedding lookup: X[t, j, :] = E[token_t, :] for every residual stream j. E is BF16; under tensor
// parallelism the vocabulary is divided, and the rows of other ranks arrive by the reduction that
// follows. Source: DeepSeek-V4 inference reference (Transformer.forward repeats the embedding
// hc_mult times).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::embedding {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t streams = 1;  // residual streams written
};

constexpr Work work(const Shape& s) {
  Work w;
  w.weight_bytes = real(s.tokens) * 2 * real(s.hidden);
  w.activation_bytes = real(s.tokens) * 2 * real(s.hidden) * real(s.streams);
  return w;
}

}  // namespace v4cap::kernels::embedding
