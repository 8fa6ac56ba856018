// Which rows each local expert gets: the (token, choice) pairs whose expert is one of
// [first_expert, first_expert + local_experts), sorted by expert, within one by token.
//   offsets[e]      first row of local expert e; offsets[local_experts] = rows in all
//   row_token[r]    token of a row                row_weight[r]  its route weight
//   token_row[t,k]  row of a pair, -1 when its expert is not local
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/work.h"

namespace v4cap::kernels::expert_permute {

struct Args {
  int tokens = 0;
  int active = 6;
  int first_expert = 0, local_experts = 0;  // <= 1024 local
  const std::int32_t* chosen = nullptr;     // [tokens, active]
  const float* weights = nullptr;           // [tokens, active]
  std::int32_t* offsets = nullptr;          // [local_experts + 1]
  std::int32_t* row_token = nullptr;        // [tokens * active]
  float* row_weight = nullptr;              // [tokens * active]
  std::int32_t* token_row = nullptr;        // [tokens, active]
};

struct Expected {
  std::vector<std::int32_t> offsets, row_token, token_row;
  std::vector<float> row_weight;
};
Expected reference(const Args& args);

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t active = 0;
};

constexpr Work work(const Shape& s) {
  Work w;
  w.activation_bytes = real(s.tokens) * real(s.active) * (8 + 12);
  return w;
}

}  // namespace v4cap::kernels::expert_permute
