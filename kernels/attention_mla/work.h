// Multi-head latent attention, dense over all earlier tokens (DeepSeek-V3). Two forms of the same
// maths:
//   absorbed (decode): the up-projections are folded into query and output, so all heads attend to
//     the latents themselves: key_dim = kv_lora + rope (576), value_dim = kv_lora (512), one shared
//     entry;
//   expanded (prefill): latents are projected up to per-head keys and values first (a `linear` of
//     its own): key_dim = nope + rope (192), value_dim = 128, an entry is all heads' expanded
//     channels in BF16.
// Source: DeepSeek-V3 inference reference (MLA, attn_impl "naive" and "absorb").
#pragma once

#include "kernels/attention.h"

namespace v4cap::kernels::attention_mla {

struct Shape {
  std::int64_t queries = 0;
  std::int64_t heads = 0;  // on this rank
  std::int64_t key_dim = 0, value_dim = 0;
  std::int64_t pairs = 0;
  std::int64_t entries = 0;  // read: cached latents, or expanded keys and values
  std::int64_t entry_bytes = 0;
};

constexpr Work work(const Shape& s) {
  return attention_work({.queries = s.queries,
                         .heads = s.heads,
                         .key_dim = s.key_dim,
                         .value_dim = s.value_dim,
                         .pairs = s.pairs,
                         .entries = s.entries,
                         .entry_bytes = s.entry_bytes});
}

}  // namespace v4cap::kernels::attention_mla
