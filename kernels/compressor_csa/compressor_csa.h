// Compressor of CSA layers: every 4th token emits an entry pooled from 8 rows. One call does the
// main entries (head_dim 512) or the indexer's keys (head_dim 128).
//
//   row t:  u[t], g[t] + ape[t % 4]        2 * head_dim wide; u and g are the projections of x
//   entry of the block that ends at t ((t + 1) % 4 == 0), per channel c < head_dim:
//     rows t-7..t-4 with channel c (first half), rows t-3..t with channel head_dim + c
//     sum over the 8 rows of u * softmax over the 8 rows of g;  the first block has only 4 rows
//   -> bf16 -> RMSNorm -> RoPE at position t-3 on the last 64 channels -> stored
//   main: act_fp8(.; 64) on 448 channels, 64 bf16, a KV page entry
//   keys: Hadamard / sqrt(128), then FP8 with one scale (act_fp8(.; 128)) or act_fp4(.; 32)
//
// State of a sequence: its last 8 rows, a ring by t % 8, so that a chunk may end anywhere:
//   [state_slots, 8, 2, 2 * head_dim] float, u then g (ape added)
// Source: DeepSeek-V4 inference reference (Compressor with overlap); chunked prefill is ours.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/compressor_csa/work.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"

namespace v4cap::kernels::compressor_csa {

inline constexpr int kRatio = 4;
inline constexpr int kRing = 8;

struct Args {
  Batch batch = {};
  int head_dim = 0;           // 512: to `entries`; 128: to `keys`
  const float* ug = nullptr;  // [tokens, ug_stride]: u (2 * head_dim), then g (2 * head_dim)
  std::int64_t ug_stride = 0;
  const float* ape = nullptr;                // [4, 2 * head_dim]
  float* state = nullptr;                    // see above
  const std::int32_t* state_slot = nullptr;  // [sequences]
  const float* norm_weight = nullptr;        // [head_dim]
  float eps = 1e-6f;
  const float* rope = nullptr;  // [positions, 32, 2] cosine and sine
  KvPool entries = {};          // head_dim 512
  KeyPool keys = {};            // head_dim 128
  PageTable pages = {};         // of entries or keys: entry j = t / 4
};

struct Expected {
  std::vector<double> pooled;  // [emitted, head_dim] after RMSNorm and RoPE (keys: Hadamard too),
                               // before quantising; in the order of the tokens that emit
  std::vector<double> stored;  // [emitted, head_dim] as read back from the page
  std::vector<double> state;   // the whole state after the step
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::compressor_csa
