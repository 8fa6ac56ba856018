// Sum of a token's routed experts and the shared one:
//   y[t] = bf16(sum over its local rows of rows[token_row[t, k]] + shared[t]), the sum in float.
// The routed part alone (shared null) is what a rank sends when experts are spread over ranks.
// Source: DeepSeek-V4 inference reference (MoE).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/work.h"

namespace v4cap::kernels::expert_sum {

struct Args {
  int tokens = 0;
  int active = 6;
  int hidden = 0;                           // % 8 == 0
  const Bf16* rows = nullptr;               // [max_rows, hidden]
  const std::int32_t* token_row = nullptr;  // [tokens, active], -1: not here
  const Bf16* shared = nullptr;             // [tokens, hidden] or null
  Bf16* y = nullptr;                        // [tokens, hidden]
};
std::vector<double> reference(const Args& args);  // [tokens, hidden]

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t local_rows = 0;  // rows read
  std::int64_t hidden = 0;
  bool shared = true;
};

constexpr Work work(const Shape& s) {
  const double rows = real(s.local_rows) + (s.shared ? real(s.tokens) : 0);
  Work w;
  w.flops_bf16 = rows * real(s.hidden);
  w.activation_bytes = 2 * real(s.hidden) * (rows + real(s.tokens));
  return w;
}

}  // namespace v4cap::kernels::expert_sum
