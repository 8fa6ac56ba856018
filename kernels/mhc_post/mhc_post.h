// Manifold-constrained hyper-connections, write side: what the sublayer gave is spread over the
// residual streams, which are mixed.
//   X'_j = bf16(post_j * y + sum_i C[i, j] * X_i)          the sum over C's first index
// In place is allowed (out == x). Source: DeepSeek-V4 inference reference (hc_post).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/mhc_post/work.h"

namespace v4cap::kernels::mhc_post {

struct Args {
  int tokens = 0;
  int hidden = 0;               // % 256 == 0
  const Bf16* x = nullptr;      // [tokens, 4, hidden]
  const Bf16* y = nullptr;      // [tokens, hidden]
  const float* post = nullptr;  // [tokens, 4]
  const float* comb = nullptr;  // [tokens, 4, 4]
  Bf16* out = nullptr;          // [tokens, 4, hidden]
};
std::vector<double> reference(const Args& args);

}  // namespace v4cap::kernels::mhc_post
