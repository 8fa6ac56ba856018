// Lightning indexer, query side: qI = Wq_b qr (heads x head_dim), RoPE, Hadamard transform and the
// quantiser of the scores; w = Ww x, one weight per head (BF16).
// qr is the latent query that the attention's own Wq_b takes too. V3.2 has the same operator.
// Source: DeepSeek-V4 and V3.2 inference references (Indexer).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::indexer_query {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0, q_lora = 0;
  std::int64_t heads = 0, head_dim = 0;  // of the indexer: 64 x 128
  std::int64_t key_bytes = 0;            // of one quantised head, as of a key: 132 FP8, 68 FP4
  double bytes_per_weight = 0;           // of Wq_b, scales included
  double bytes_per_head_weight = 2;      // of Ww
};

constexpr Work work(const Shape& s) {
  const double query_weights = real(s.q_lora) * real(s.heads) * real(s.head_dim);
  const double head_weights = real(s.hidden) * real(s.heads);
  Work w;
  w.flops_fp8 = real(s.tokens) * 2 * query_weights;
  w.flops_bf16 = real(s.tokens) * 2 * head_weights;
  w.weight_bytes = query_weights * s.bytes_per_weight + head_weights * s.bytes_per_head_weight;
  w.activation_bytes = real(s.tokens) * real(s.heads) * real(s.key_bytes);
  return w;
}

}  // namespace v4cap::kernels::indexer_query
