// After attention: the last 64 channels of each output head are rotated back by the query's own
// position (values carry their rotation, because an entry is key and value at once), then the row
// is quantised for the grouped output projection, act_fp8(.; 128).
// Source: DeepSeek-V4 inference reference (Attention.forward, inverse apply_rotary_emb).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/formats/matrices.h"
#include "kernels/inverse_rope_quant/work.h"

namespace v4cap::kernels::inverse_rope_quant {

struct Args {
  Batch batch = {};
  int heads = 0;
  const Bf16* o = nullptr;      // [tokens, o_stride], heads * 512 of each row
  std::int64_t o_stride = 0;    // a multiple of 8; more than heads * 512 where attention was padded
  const float* rope = nullptr;  // [positions, 32, 2] cosine and sine
  Fp8Rows quantised = {};       // [tokens, heads * 512]
};

struct Expected {
  std::vector<double> rotated;      // [tokens, heads * 512] before quantising
  std::vector<double> dequantised;  // of the bf16-rounded rotation
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::inverse_rope_quant
