// q head norm + RoPE in place, KV norm + RoPE + quantiser + page store: a warp for a token's entry,
// and one for every two of its heads.
// Traffic : 2 KiB a head (1 KiB read, 1 KiB written) and 1024 + 584 B an entry; about 6 FLOP a
//           channel: bound by memory, by latency for few tokens.
// Shape   : a lane holds channels 8 l .. 8 l + 7 of both halves of a row of 512, so that accesses
//           are 16 bytes and coalesced, 8 lanes hold a block of 64 that shares a scale, and the
//           rotated channels are the upper half of the last 8 lanes. Everything that a row needs is
//           asked for before it is reduced; two heads a warp keep 2 KiB in flight, and one wave of
//           blocks then holds 128 tokens of V4-Flash.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/entry.cuh"
#include "kernels/q_rope_kv_store/launch.h"
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"
#include "kernels/registry.h"

namespace v4cap::kernels::q_rope_kv_store {
namespace {

constexpr int kHalf = kHeadDim / 2;

// A lane's part of a row.
struct Bits {
  Bf16x8 low, high;
};
__device__ Bits load_row(const Bf16* row, int channel) {
  return {*reinterpret_cast<const Bf16x8*>(row + channel),
          *reinterpret_cast<const Bf16x8*>(row + kHalf + channel)};
}

// 1 / RMS of the row.
__device__ float inverse_rms(const float (&low)[8], const float (&high)[8], float eps) {
  float square = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) square += low[i] * low[i] + high[i] * high[i];
  return rsqrtf(warp_sum(square) / kHeadDim + eps);
}

// What a lane needs of the RoPE table, where it holds rotated channels.
__device__ void load_angles(float (&angles)[8], const Args& args, int position, int channel) {
  if (kHalf + channel >= kNopeDim) {
    load_floats(angles, args.rope + std::int64_t{position} * kRopeDim + kHalf + channel - kNopeDim);
  }
}

__device__ void store_kv(const Args& args, int token, int channel) {
  const int sequence = args.batch.sequence_of[token];
  const int position = args.batch.positions[token];
  const Bits bits = load_row(args.kv + token * args.kv_stride, channel);
  float weight_low[8], weight_high[8];
  load_floats(weight_low, args.kv_weight + channel);
  load_floats(weight_high, args.kv_weight + kHalf + channel);
  const EntryPlace place = place_of(args.window, args.window_pages, sequence, position);
  const int end = args.batch.first_token[sequence + 1];
  float angles[8] = {};
  load_angles(angles, args, position, channel);
  float low[8], high[8];
  unpack(bits.low, low);
  unpack(bits.high, high);
  const float inverse = inverse_rms(low, high, args.eps);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    low[i] *= inverse * weight_low[i];
    high[i] *= inverse * weight_high[i];
  }
  round_channels(low);
  round_channels(high);
  // Else a later token of this step takes the same place in the ring.
  if (token + ring_entries(args) >= end) {
    store_entry(place, channel, low, angles);
    store_entry(place, kHalf + channel, high, angles);
  }
}

__device__ void finish_head(Bf16* out, const Bits& bits, int channel, const float (&angles)[8],
                            float eps) {
  float low[8], high[8];
  unpack(bits.low, low);
  unpack(bits.high, high);
  const float inverse = inverse_rms(low, high, eps);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    low[i] *= inverse;
    high[i] *= inverse;
  }
  if (kHalf + channel >= kNopeDim) {
    round_channels(high);
    rotate_pairs(high, angles, 1);
  }
  *reinterpret_cast<Bf16x8*>(out + channel) = pack_bf16(low);
  *reinterpret_cast<Bf16x8*>(out + kHalf + channel) = pack_bf16(high);
}

__global__ void __launch_bounds__(kWarpsPerBlock * 32, 8) norm_rope_store(Args args) {
  const auto per_token = static_cast<unsigned>(warps_per_token(args.heads));
  const unsigned item = blockIdx.x * kWarpsPerBlock + threadIdx.x / 32;
  const auto token = static_cast<int>(item / per_token);
  if (token >= args.batch.tokens) return;
  const int pair = static_cast<int>(item % per_token) - 1;  // -1: the KV entry
  const int channel = static_cast<int>(threadIdx.x % 32) * 8;
  if (pair < 0) {
    store_kv(args, token, channel);
    return;
  }
  const int head = pair * kHeadsPerWarp;
  Bf16* q = args.q + token * args.q_stride + head * kHeadDim;
  const bool has_second = head + 1 < args.heads;
  const Bits first = load_row(q, channel);
  const Bits second = load_row(has_second ? q + kHeadDim : q, channel);
  float angles[8] = {};
  load_angles(angles, args, args.batch.positions[token], channel);
  finish_head(q, first, channel, angles, args.eps);
  if (has_second) finish_head(q + kHeadDim, second, channel, angles, args.eps);
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.tokens == 0) return;
  norm_rope_store<<<static_cast<unsigned>(blocks_of(args)), kWarpsPerBlock * 32, 0, stream>>>(args);
  V4CAP_LAUNCHED("q_rope_kv_store");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a warp for two heads or an entry, 16-byte accesses",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::q_rope_kv_store
