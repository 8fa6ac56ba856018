// Small pieces that many kernels share: reductions over a warp, conversions of several numbers at a
// time, 16-byte accesses.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <cstdint>

#include "kernels/formats/numbers.h"
#include "kernels/formats/quantisers.h"

namespace v4cap::kernels {

template <int kLanes = 32>
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
  return x;
}

template <int kLanes = 32>
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, offset));
  }
  return x;
}

// Sum over all threads of the block, the same in all of them. `scratch`: a float for each warp.
__device__ inline float block_sum(float x, float* scratch) {
  x = warp_sum(x);
  const int warps = static_cast<int>(blockDim.x) / 32;
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < warps; ++i) sum += scratch[i];
  __syncthreads();
  return sum;
}

// Eight bf16 numbers in 16 bytes.
struct alignas(16) Bf16x8 {
  __nv_bfloat162 pair[4];
};

__device__ inline void unpack(const Bf16x8& packed, float (&x)[8]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 two = __bfloat1622float2(packed.pair[i]);
    x[2 * i] = two.x;
    x[2 * i + 1] = two.y;
  }
}

__device__ inline Bf16x8 pack_bf16(const float (&x)[8]) {
  Bf16x8 packed;
#pragma unroll
  for (int i = 0; i < 4; ++i) packed.pair[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
  return packed;
}

// Codes of four numbers, saturating.
__device__ inline std::uint32_t pack_e4m3(float a, float b, float c, float d) {
  const auto low = __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
  const auto high = __nv_cvt_float2_to_fp8x2(make_float2(c, d), __NV_SATFINITE, __NV_E4M3);
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
}

}  // namespace v4cap::kernels
