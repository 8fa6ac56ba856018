// The lightning indexer's query, after its projection: RoPE on the last 64 of 128 channels,
// Hadamard transform / sqrt(128), quantised; and the weight of each head.
//   FP8   codes [tokens, 64, 128] e4m3 by act_fp8(.; 128); the scale is folded into the head weight:
//         weight[t, h] = w[t, h] * 128^-1/2 * 64^-1/2 * scale[t, h]
//   FP4   codes [tokens, 64, 64] e2m1 by act_fp4(.; 32), scales [tokens, 64, 4] UE8M0;
//         weight[t, h] = w[t, h] * 128^-1/2 * 64^-1/2
// Source: DeepSeek-V4 inference reference (Indexer); folding the scale: DeepGEMM.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"
#include "kernels/indexer_query/work.h"

namespace v4cap::kernels::indexer_query {

struct Args {
  Batch batch = {};
  const Bf16* q = nullptr;   // [tokens, 64, 128]
  const float* w = nullptr;  // [tokens, w_stride], 64 of each row
  std::int64_t w_stride = 0;
  const float* rope = nullptr;  // [positions, 32, 2] cosine and sine
  KeyFormat format = KeyFormat::fp8;
  std::uint8_t* codes = nullptr;
  std::uint8_t* scales = nullptr;  // FP4 only
  float* weights = nullptr;        // [tokens, 64]
};

struct Expected {
  std::vector<double> rotated;      // [tokens, 64, 128] after Hadamard, before quantising
  std::vector<double> dequantised;  // codes times scales
  std::vector<double> weights;      // [tokens, 64]
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::indexer_query
