// DeepSeek sparse attention (V3.2): absorbed MLA over the top_k tokens that the indexer selects, in
// decode and in prefill alike. key_dim = kv_lora + rope (576), value_dim = kv_lora (512), one
// shared entry. Source: DeepSeek-V3.2 inference reference; call shape: FlashMLA sparse decode and
// prefill.
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_dsa {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0;  // on this rank
  std::int64_t key_dim = 0, value_dim = 0;
  std::int64_t selected_pairs = 0;
  std::int64_t selected_entries = 0;  // read from the cache
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  return attention_work({.queries = s.queries,
                         .heads = s.heads,
                         .key_dim = s.key_dim,
                         .value_dim = s.value_dim,
                         .pairs = s.selected_pairs,
                         .entries = s.selected_entries,
                         .entry_bytes = s.entry_bytes});
}

}  // namespace v4cap::kernels::attention_dsa
