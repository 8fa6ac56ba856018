// Grouped-query attention, dense over all earlier tokens; an entry holds the keys and values of
// this rank's KV heads. Source: Ainslie et al., "GQA", arXiv 2305.13245.
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_gqa {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0, head_dim = 0;  // query heads on this rank
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

}  // namespace v4cap::kernels::attention_gqa
