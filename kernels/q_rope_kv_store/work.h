// What lies between the projections and attention: each query head is divided by its RMS and its
// last 64 channels are rotated; the new KV entry is normalised, rotated, quantised (448 channels
// e4m3 in blocks of 64, 64 channels BF16: 584 B in FlashMLA's layout) and written to the window of
// its sequence. Source: DeepSeek-V4 inference reference (Attention.forward); entry layout: FlashMLA
// tests/quant.py.
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::q_rope_kv_store {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t heads = 0;     // query heads on this rank
  std::int64_t head_dim = 0;  // of a query head
  std::int64_t kv_dim = 0;    // channels of the new entry before it is quantised
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  const double query = real(s.heads) * real(s.head_dim);
  Work w;
  w.flops_bf16 = real(s.tokens) * 6 * query;
  w.activation_bytes = real(s.tokens) * (2 * 2 * query + 2 * real(s.kv_dim));
  w.cache_write_bytes = real(s.tokens) * real(s.entry_bytes);
  return w;
}

}  // namespace v4cap::kernels::q_rope_kv_store
