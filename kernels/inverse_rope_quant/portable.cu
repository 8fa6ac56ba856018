// Inverse RoPE + FP8 quantiser: a warp for each head of a token.
// Traffic : 2 B in, 1 + 1/32 B out a channel; about 3 FLOP: bound by memory, by latency for few
//           tokens.
// Shape   : a lane holds channels 8 l .. 8 l + 7 of both halves of the head, so that 16 lanes hold
//           a block of 128 that shares a scale. Scales lie token by token, hence a block takes 8
//           tokens of one head where there are as many, and writes their scales as whole sectors.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/entry.cuh"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"
#include "kernels/inverse_rope_quant/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::inverse_rope_quant {
namespace {

constexpr int kHalf = kHeadDim / 2;

// Rotates and quantises head `head` of `token`; the calling warp's lanes give the scale of the
// block of 128 that each holds in either half.
__device__ float2 quantise_head(const Args& args, int token, int head, int lane) {
  const int channel = lane * 8;
  const std::int64_t begin = (std::int64_t{token} * args.heads + head) * kHeadDim;
  const Bf16* o = args.o + token * args.o_stride + std::int64_t{head} * kHeadDim;
  const Bf16x8 low_bits = *reinterpret_cast<const Bf16x8*>(o + channel);
  const Bf16x8 high_bits = *reinterpret_cast<const Bf16x8*>(o + kHalf + channel);
  const bool rotated = kHalf + channel >= kNopeDim;
  float angles[8] = {};
  if (rotated) {
    load_floats(angles, args.rope + std::int64_t{args.batch.positions[token]} * kRopeDim +
                            (kHalf + channel - kNopeDim));
  }
  float low[8], high[8];
  unpack(low_bits, low);
  unpack(high_bits, high);
  if (rotated) {
    rotate_pairs(high, angles, -1);
    round_channels(high);
  }
  const std::uint8_t low_scale = fp8_block_scale(warp_max<16>(largest_of(low)));
  const std::uint8_t high_scale = fp8_block_scale(warp_max<16>(largest_of(high)));
  store_e4m3(args.quantised.codes + begin + channel, low, inverse_scale(low_scale));
  store_e4m3(args.quantised.codes + begin + kHalf + channel, high, inverse_scale(high_scale));
  return make_float2(ue8m0_to_float(low_scale), ue8m0_to_float(high_scale));
}

__global__ void __launch_bounds__(kWarpsPerBlockOfFewTokens * 32) few_tokens_kernel(Args args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int row =
      static_cast<int>(blockIdx.x) * kWarpsPerBlockOfFewTokens + static_cast<int>(threadIdx.x / 32);
  const int token = row / args.heads;
  if (token >= args.batch.tokens) return;
  const int head = row - token * args.heads;
  const float2 scale = quantise_head(args, token, head, lane);
  if (lane % 16 == 0) {
    float* out =
        args.quantised.scales + (head * 4 + lane / 16) * args.quantised.scale_stride + token;
    out[0] = scale.x;
    out[2 * args.quantised.scale_stride] = scale.y;
  }
}

__global__ void __launch_bounds__(kWarpsPerBlock * 32) many_tokens_kernel(Args args) {
  __shared__ float scales[4][kWarpsPerBlock];
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int group = static_cast<int>(blockIdx.x) / args.heads;
  const int head = static_cast<int>(blockIdx.x) - group * args.heads;
  const int first = group * kWarpsPerBlock;
  if (first + warp < args.batch.tokens) {
    const float2 scale = quantise_head(args, first + warp, head, lane);
    if (lane % 16 == 0) {
      scales[lane / 16][warp] = scale.x;
      scales[2 + lane / 16][warp] = scale.y;
    }
  }
  __syncthreads();
  const int token = first + lane % kWarpsPerBlock, block = lane / kWarpsPerBlock;
  if (warp == 0 && token < args.batch.tokens) {
    args.quantised.scales[(head * 4 + block) * args.quantised.scale_stride + token] =
        scales[block][lane % kWarpsPerBlock];
  }
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.tokens == 0) return;
  const auto blocks = static_cast<unsigned>(blocks_of(args));
  if (few_tokens(args)) {
    few_tokens_kernel<<<blocks, kWarpsPerBlockOfFewTokens * 32, 0, stream>>>(args);
  } else {
    many_tokens_kernel<<<blocks, kWarpsPerBlock * 32, 0, stream>>>(args);
  }
  V4CAP_LAUNCHED("inverse_rope_quant");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a warp for each head, scales of 8 tokens written together",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::inverse_rope_quant
