// Compressor of HCA layers: every 128th token emits an entry pooled from its block's 128 rows.
//
//   row t:  u[t], g[t] + ape[t % 128]      512 wide each; u and g are the projections of x
//   entry of the block that ends at t ((t + 1) % 128 == 0), per channel:
//     sum over the block's rows of u * softmax over its rows of g
//   -> bf16 -> RMSNorm -> RoPE at the block's first position on the last 64 channels
//   -> act_fp8(.; 64) on 448 channels, 64 bf16, a KV page entry
//
// State of a sequence, of its unfinished block, in one of two forms that agree up to rounding:
//   rows    [state_slots, 128, 2, 512] float: u and g (ape added) of row t at t % 128; rows of
//           finished blocks are not kept, their places hold anything
//   online  [state_slots, 3, 512] float: running maximum of g, sum of exp(g - max), and
//           sum of u * exp(g - max); the maximum is -inf after a block has been emitted
// Source: DeepSeek-V4 inference reference (Compressor); the online form: vLLM and SGLang ship it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/compressor_hca/work.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"

namespace v4cap::kernels::compressor_hca {

inline constexpr int kRatio = 128;

enum class StateForm : std::uint8_t { rows, online };

struct Args {
  Batch batch = {};
  const float* ug = nullptr;  // [tokens, ug_stride]: u (512), then g (512)
  std::int64_t ug_stride = 0;
  const float* ape = nullptr;  // [128, 512]
  StateForm form = StateForm::online;
  float* state = nullptr;
  const std::int32_t* state_slot = nullptr;  // [sequences]
  const float* norm_weight = nullptr;        // [512]
  float eps = 1e-6f;
  const float* rope = nullptr;  // [positions, 32, 2] cosine and sine
  KvPool entries = {};
  PageTable pages = {};  // entry j = t / 128
};

struct Expected {
  std::vector<double> pooled;  // [emitted, 512] after RMSNorm and RoPE, before quantising
  std::vector<double> stored;  // [emitted, 512] as read back from the page
  std::vector<double> state;   // the whole state after the step
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::compressor_hca
