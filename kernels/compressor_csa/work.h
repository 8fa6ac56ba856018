// Compressor of CSA layers, for the main entries (head_dim 512) and, with weights of its own, for
// the indexer keys (head_dim 128). Every token adds a row of state, every 4th token emits an entry:
//   u = Wkv' x, g = Wg x + ape[t mod 4]            each 2*head_dim wide, weights BF16, maths FP32
//   entry = sum over 8 rows of u * softmax_rows(g), per channel: 4 rows of the previous block
//   through the first half of the channels, 4 rows of the current block through the second half
// then RMSNorm, RoPE at the block's first position and the quantiser of the cache.
// Source: DeepSeek-V4 inference reference (Compressor with overlap).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::compressor_csa {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t emitted = 0;  // entries completed by these tokens and written to the cache
  std::int64_t hidden = 0;
  std::int64_t head_dim = 0;
  std::int64_t entry_bytes = 0;
  double bytes_per_weight = 2;
};

inline constexpr std::int64_t kPooledRows = 8;

constexpr Work work(const Shape& s) {
  const double width = 4 * real(s.head_dim);  // u and g, two halves each
  Work w;
  w.flops_bf16 = real(s.tokens) * 2 * real(s.hidden) * width +
                 real(s.emitted) * 3 * real(kPooledRows) * real(s.head_dim);
  w.weight_bytes = real(s.hidden) * width * s.bytes_per_weight;
  w.activation_bytes =
      real(s.tokens) * 4 * width + real(s.emitted) * real(kPooledRows) * 2 * real(s.head_dim) * 4;
  w.cache_write_bytes = real(s.emitted) * real(s.entry_bytes);
  return w;
}

}  // namespace v4cap::kernels::compressor_csa
