// Embedding lookup: X[t, j, :] = E[token[t], :] for every residual stream j.
// Source: DeepSeek-V4 inference reference (Transformer.forward).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/embedding/work.h"
#include "kernels/formats/matrices.h"

namespace v4cap::kernels::embedding {

struct Args {
  int tokens = 0;
  int hidden = 0;                           // % 8 == 0
  int streams = 4;                          // 1: the plain embedding
  const std::int32_t* token_ids = nullptr;  // [tokens]
  const Bf16* table = nullptr;              // [vocabulary, hidden]
  Bf16* x = nullptr;                        // [tokens, streams, hidden]
};
std::vector<Bf16> reference(const Args& args);

}  // namespace v4cap::kernels::embedding
