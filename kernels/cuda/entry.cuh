// Pieces of the kernels that make KV entries, keys and their queries. A thread holds N (4 or 8)
// consecutive channels of a row; 64 / N neighbouring lanes hold a block that shares a scale.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/device_math.cuh"
#include "kernels/formats/pages.h"

namespace v4cap::kernels {

__device__ inline float4 load4(const float* p) {
  return *reinterpret_cast<const float4*>(p);
}

template <int N>
__device__ inline void load_floats(float (&x)[N], const float* p) {
  static_assert(N % 4 == 0);
#pragma unroll
  for (int i = 0; i < N; i += 4) {
    const float4 four = load4(p + i);
    x[i] = four.x;
    x[i + 1] = four.y;
    x[i + 2] = four.z;
    x[i + 3] = four.w;
  }
}

// Rotates N / 2 pairs; `angles` holds a cosine and a sine for each. Direction -1 rotates back.
template <int N>
__device__ inline void rotate_pairs(float (&x)[N], const float (&angles)[N], float direction) {
#pragma unroll
  for (int i = 0; i < N; i += 2) {
    const float cosine = angles[i], sine = direction * angles[i + 1];
    const float even = x[i], odd = x[i + 1];
    x[i] = even * cosine - odd * sine;
    x[i + 1] = even * sine + odd * cosine;
  }
}

template <int N>
__device__ inline void round_channels(float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = __bfloat162float(__float2bfloat16_rn(x[i]));
}

template <int N>
__device__ inline float largest_of(const float (&x)[N]) {
  float largest = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) largest = fmaxf(largest, fabsf(x[i]));
  return largest;
}

// Codes of x * inverse, N bytes at `out`.
template <int N>
__device__ inline void store_e4m3(std::uint8_t* out, const float (&x)[N], float inverse) {
  std::uint32_t words[N / 4];
#pragma unroll
  for (int i = 0; i < N / 4; ++i) {
    words[i] = pack_e4m3(x[4 * i] * inverse, x[4 * i + 1] * inverse, x[4 * i + 2] * inverse,
                         x[4 * i + 3] * inverse);
  }
  if constexpr (N == 4) {
    *reinterpret_cast<std::uint32_t*>(out) = words[0];
  } else {
    static_assert(N == 8);
    *reinterpret_cast<uint2*>(out) = make_uint2(words[0], words[1]);
  }
}

template <int N>
__device__ inline void store_bf16(void* out, const float (&x)[N]) {
  alignas(16) __nv_bfloat162 pairs[N / 2];
#pragma unroll
  for (int i = 0; i < N / 2; ++i) pairs[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
  if constexpr (N == 4) {
    *reinterpret_cast<uint2*>(out) = *reinterpret_cast<const uint2*>(pairs);
  } else {
    static_assert(N == 8);
    *reinterpret_cast<uint4*>(out) = *reinterpret_cast<const uint4*>(pairs);
  }
}

// PageTable::page in 32 bits: divisions of 64 bits take longer than the rest of an address.
__device__ inline std::int64_t page_of(const PageTable& table, int sequence, int entry,
                                       int page_entries) {
  const unsigned page = static_cast<unsigned>(entry) / static_cast<unsigned>(page_entries) %
                        static_cast<unsigned>(table.length);
  return table.pages[std::int64_t{sequence} * table.stride + page];
}

// Where an entry stands in its pool.
struct EntryPlace {
  std::uint8_t* data;
  std::uint8_t* scales;
};

__device__ inline EntryPlace place_of(const KvPool& pool, const PageTable& table, int sequence,
                                      int entry) {
  const std::int64_t page = page_of(table, sequence, entry, pool.page_entries);
  const auto offset =
      static_cast<int>(static_cast<unsigned>(entry) % static_cast<unsigned>(pool.page_entries));
  return {pool.data(page, offset), pool.scales(page, offset)};
}

// Stores channels [channel, channel + N) of a normalised, bf16-rounded entry: rotated and bf16 in
// the last 64 channels, quantised in blocks of 64 in the others. Whole warps must call it, each
// block of 64 channels in neighbouring lanes. `angles` are looked at in rotated channels only.
template <int N>
__device__ inline void store_entry(const EntryPlace& place, int channel, float (&x)[N],
                                   const float (&angles)[N]) {
  const std::uint8_t scale = fp8_block_scale(warp_max<kNopeBlock / N>(largest_of(x)));
  if (channel < kNopeDim) {
    store_e4m3(place.data + channel, x, inverse_scale(scale));
  } else {
    rotate_pairs(x, angles, 1);
    store_bf16(place.data + kNopeDim + 2 * (channel - kNopeDim), x);
  }
  // The eighth byte is padding.
  if (channel % kNopeBlock == 0)
    place.scales[channel / kNopeBlock] = channel < kNopeDim ? scale : 0;
}

// Walsh-Hadamard transform of 128 channels over 128 / N neighbouring lanes, divided by sqrt(128).
template <int N>
__device__ inline void hadamard_128(float (&x)[N]) {
#pragma unroll
  for (int half = 1; half < N; half *= 2) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if ((i & half) != 0) continue;
      const float a = x[i], b = x[i + half];
      x[i] = a + b;
      x[i + half] = a - b;
    }
  }
#pragma unroll
  for (int lanes = 1; lanes < 128 / N; lanes *= 2) {
    const bool upper = (threadIdx.x & static_cast<unsigned>(lanes)) != 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float other = __shfl_xor_sync(~0u, x[i], lanes);
      x[i] = upper ? other - x[i] : x[i] + other;
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] *= 0.08838834764831845f;
}

// Two codes to a byte, the even channel in the low half: 2 bytes of x * inverse.
__device__ inline void store_e2m1(std::uint8_t* out, const float (&x)[4], float inverse) {
  std::uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    word |= static_cast<std::uint32_t>(float_to_e2m1(x[i] * inverse)) << (4 * i);
  }
  *reinterpret_cast<std::uint16_t*>(out) = static_cast<std::uint16_t>(word);
}

}  // namespace v4cap::kernels
