// Attention of an HCA layer: as in a CSA layer one shared KV head, and the query at position t sees
//   the raw entries of max(0, t-127)..t and
//   all floor((t+1)/128) compressed entries, without any selection.
// Source: DeepSeek-V4 inference reference (sparse_attn with every compressed position listed).
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_hca {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0, head_dim = 0;  // on this rank
  std::int64_t window_pairs = 0, compressed_pairs = 0;
  std::int64_t window_entries = 0, compressed_entries = 0;  // read from the cache
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  return attention_work({.queries = s.queries,
                         .heads = s.heads,
                         .key_dim = s.head_dim,
                         .value_dim = s.head_dim,
                         .pairs = s.window_pairs + s.compressed_pairs,
                         .entries = s.window_entries + s.compressed_entries,
                         .entry_bytes = s.entry_bytes});
}

}  // namespace v4cap::kernels::attention_hca
