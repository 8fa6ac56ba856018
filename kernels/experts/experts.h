// Routed experts over rows sorted by expert (expert_permute):
//   gate_up   g, u = W1 x, W3 x of the row's token; a = silu(min(g, 10)) * clamp(u, -10, 10) * weight
//             -> bf16 -> act_fp8(.; 128): [rows, intermediate]
//   down      y = W2 a -> bf16: [rows, hidden]
// Activations FP8 with a scale per 128 channels, weights FP4 with a scale per 32, sums in float.
// The number of rows is known to the device only: offsets[experts]; buffers are sized for max_rows.
// Source: DeepSeek-V4 inference reference (Expert, fp4_gemm).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/experts/work.h"
#include "kernels/formats/matrices.h"

namespace v4cap::kernels::experts {

struct GateUpArgs {
  int experts = 0;                   // local
  int hidden = 0, intermediate = 0;  // % 128 == 0
  int max_rows = 0;                  // tokens * active
  int tokens = 0;
  Fp8Rows x = {};       // [tokens, hidden]
  Fp4Weights w13 = {};  // [experts, 2 * intermediate, hidden]: W1's rows, then W3's
  const std::int32_t* offsets = nullptr;    // [experts + 1]
  const std::int32_t* row_token = nullptr;  // [max_rows]
  const float* row_weight = nullptr;        // [max_rows]
  float limit = 10;
  Fp8Rows a = {};  // [max_rows, intermediate]
};

struct DownArgs {
  int experts = 0;
  int hidden = 0, intermediate = 0;
  int max_rows = 0;
  Fp8Rows a = {};      // [max_rows, intermediate]
  Fp4Weights w2 = {};  // [experts, hidden, intermediate]
  const std::int32_t* offsets = nullptr;
  Bf16* y = nullptr;  // [max_rows, hidden]
};

struct GateUpExpected {
  std::vector<double> activated;    // [rows, intermediate] before bf16 and quantising
  std::vector<double> dequantised;  // [rows, intermediate]
};
GateUpExpected reference(const GateUpArgs& args);
std::vector<double> reference(const DownArgs& args);  // [rows, hidden]

}  // namespace v4cap::kernels::experts
