// Input of the multi-token-prediction layer, after its two products: X_j = e + h_j on every stream,
//   e = We RMSNorm(embed(next token)) [tokens, d],  h_j = Wh RMSNorm(X_j) [tokens, 4, d].
// Source: DeepSeek-V4 inference reference (MTPBlock).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/work.h"

namespace v4cap::kernels::mtp_merge {

struct Args {
  int tokens = 0;
  int hidden = 0;  // % 8 == 0
  int streams = 4;
  const Bf16* e = nullptr;  // [tokens, hidden]
  const Bf16* h = nullptr;  // [tokens, streams, hidden]
  Bf16* x = nullptr;        // [tokens, streams, hidden]; may be h
};
std::vector<double> reference(const Args& args);

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t streams = 4;
};

constexpr Work work(const Shape& s) {
  Work w;
  w.flops_bf16 = real(s.tokens) * real(s.streams) * real(s.hidden);
  w.activation_bytes = real(s.tokens) * real(s.hidden) * (2 + 4 * real(s.streams));
  return w;
}

}  // namespace v4cap::kernels::mtp_merge
