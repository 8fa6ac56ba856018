// Router of a mixture layer, in float:
//   s = sqrt(softplus(Wgate x))      [experts]
//   chosen = top-6 of s + bias, or in hash layers table[token id]
//   weight = s[chosen] / sum of s[chosen] * route_scale
// Source: DeepSeek-V4 inference reference (Gate).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/router/work.h"

namespace v4cap::kernels::router {

struct Args {
  int tokens = 0;
  int hidden = 0;
  int experts = 0;                          // <= 1024, % 8 == 0
  int active = 6;                           // <= 8
  const Bf16* x = nullptr;                  // [tokens, hidden]
  const Bf16* gate = nullptr;               // [experts, hidden]
  const float* bias = nullptr;              // [experts]; not used in hash layers
  const std::int32_t* table = nullptr;      // [vocabulary, active], hash layers only
  const std::int32_t* token_ids = nullptr;  // [tokens], hash layers only
  float route_scale = 1;
  std::int32_t* chosen = nullptr;  // [tokens, active]
  float* weights = nullptr;        // [tokens, active]
};

struct Expected {
  std::vector<double> scores;        // [tokens, experts], s
  std::vector<std::int32_t> chosen;  // [tokens, active]
  std::vector<double> weights;       // [tokens, active]
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::router
