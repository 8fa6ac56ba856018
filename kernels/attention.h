// The part that every attention operator shares: softmax(q K^T) V of `queries` tokens over a list
// of keys each, given as (query, key) pairs in total. Per pair and head 2 FLOP per key channel and
// 2 per value channel. Queries are read and outputs written in BF16.
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels {

struct AttentionCore {
  std::int64_t queries = 0;
  std::int64_t heads = 0;                   // query heads on this rank
  std::int64_t key_dim = 0, value_dim = 0;  // channels of a head that meet a key, and that come out
  std::int64_t pairs = 0;                   // (query, key), over all queries, of one head
  std::int64_t entries = 0;                 // cache entries read
  std::int64_t entry_bytes = 0;
};

constexpr Work attention_work(const AttentionCore& a) {
  const double channels = real(a.key_dim) + real(a.value_dim);
  Work w;
  w.flops_bf16 = 2 * real(a.heads) * channels * real(a.pairs);
  w.activation_bytes = 2 * real(a.queries) * real(a.heads) * channels;
  w.cache_read_bytes = real(a.entries) * real(a.entry_bytes);
  return w;
}

}  // namespace v4cap::kernels
