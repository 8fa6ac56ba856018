// Lightning indexer, scores: score[t, j] = sum_h w[t, h] * relu(qI[t, h, :] . kI[j, :]) for every
// key j that query t may see. Keys are FP8 with an FP32 scale (132 B) or FP4 with four UE8M0 scales
// (68 B); with FP4 keys both sides are FP4. Source: DeepSeek-V4 inference reference (Indexer); key
// formats: DeepGEMM mqa_logits.
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::indexer_scores {

struct Shape {
  std::int64_t pairs = 0;  // (query, key), over all queries
  std::int64_t keys = 0;   // keys read: per sequence in decode, once per chunk in prefill
  std::int64_t heads = 0, head_dim = 0;
  std::int64_t key_bytes = 0;
  Precision precision = Precision::fp8;
};

constexpr Work work(const Shape& s) {
  Work w;
  w.add_flops(s.precision, 2 * real(s.heads) * real(s.head_dim) * real(s.pairs));
  w.activation_bytes = 4 * real(s.pairs);  // FP32 scores
  w.cache_read_bytes = real(s.keys) * real(s.key_bytes);
  return w;
}

}  // namespace v4cap::kernels::indexer_scores
