// Attention of a layer without a compressor (the first two of V4-Flash, the MTP layer): one shared
// KV head, and the query at position t sees the raw entries of max(0, t-127)..t. Source:
// DeepSeek-V4 inference reference (Attention with compress_ratio 0).
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_window {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0, head_dim = 0;  // on this rank
  std::int64_t pairs = 0;
  std::int64_t entries = 0;  // read from the cache
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  return attention_work({.queries = s.queries,
                         .heads = s.heads,
                         .key_dim = s.head_dim,
                         .value_dim = s.head_dim,
                         .pairs = s.pairs,
                         .entries = s.entries,
                         .entry_bytes = s.entry_bytes});
}

}  // namespace v4cap::kernels::attention_window
