// What lies between the projections and attention, in one launch:
//   q    each head divided by its own RMS (no weight), RoPE on its last 64 channels, bf16
//   kv   c = RMSNorm(kv; weight), RoPE on its last 64 channels; the first 448 are quantised by
//        act_fp8(.; 64), the last 64 stay bf16; stored in the sequence's window page
// RoPE rotates interleaved pairs (2i, 2i+1) by an angle whose cosine and sine stand in a table,
// made as the reference makes it: float products of position and frequency.
// Source: DeepSeek-V4 inference reference (Attention.forward, apply_rotary_emb).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"
#include "kernels/q_rope_kv_store/work.h"

namespace v4cap::kernels::q_rope_kv_store {

struct Args {
  Batch batch = {};
  int heads = 0;
  Bf16* q = nullptr;  // [tokens, q_stride], heads * 512 of each row, changed in place
  std::int64_t q_stride = 0;
  const Bf16* kv = nullptr;  // [tokens, kv_stride], 512 of each row
  std::int64_t kv_stride = 0;
  const float* kv_weight = nullptr;  // [512]
  float eps = 1e-6f;
  const float* rope = nullptr;  // [positions, 32, 2] cosine and sine
  KvPool window = {};
  PageTable window_pages = {};
};

struct Expected {
  std::vector<double> q;   // [tokens, heads, 512]
  std::vector<double> kv;  // [tokens, 512] as read back from the page: codes times scales, bf16
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::q_rope_kv_store
