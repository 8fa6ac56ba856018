// Attention of a CSA layer. All heads share one KV head whose entries are keys and values at once
// (448 channels without RoPE, 64 with). The query at position t sees
//   the raw entries of max(0, t-127)..t and
//   the top min(top_k, floor((t+1)/4)) compressed entries of the indexer's choice.
// A per-head sink joins the softmax's denominator. The epilogue undoes RoPE on the outputs.
// Source: DeepSeek-V4 inference reference (sparse_attn); call shape: FlashMLA sparse decode and
// prefill.
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_csa {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0, head_dim = 0;  // on this rank
  std::int64_t window_pairs = 0, selected_pairs = 0;
  std::int64_t window_entries = 0, selected_entries = 0;  // read from the cache
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  return attention_work({.queries = s.queries,
                         .heads = s.heads,
                         .key_dim = s.head_dim,
                         .value_dim = s.head_dim,
                         .pairs = s.window_pairs + s.selected_pairs,
                         .entries = s.window_entries + s.selected_entries,
                         .entry_bytes = s.entry_bytes});
}

}  // namespace v4cap::kernels::attention_csa
