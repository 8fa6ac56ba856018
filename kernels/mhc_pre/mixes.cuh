// What all versions of mhc_pre share on the device: the product of bf16 streams with a float matrix
// on the tensor cores, and the way from a token's sums to its mixes.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/mhc_pre/mhc_pre.h"

namespace v4cap::kernels::mhc_pre {

// A float matrix as the sum of two bf16 ones: hi = bf16(f), lo = bf16(f - hi), exact to 2^-17 of f.
// The streams are bf16, so that x hi + x lo is a product in nearly float precision at half the bf16
// rate; TF32 runs at that rate too and keeps 2^-11 only.
struct SplitPair {
  std::uint32_t hi = 0, lo = 0;  // two neighbours of K each
};

__device__ inline std::uint32_t as_bits(__nv_bfloat162 pair) {
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
__device__ inline float2 as_floats(std::uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

__device__ inline SplitPair split(float a, float b) {
  SplitPair s;
  s.hi = as_bits(__floats2bfloat162_rn(a, b));
  const float2 hi = as_floats(s.hi);
  s.lo = as_bits(__floats2bfloat162_rn(a - hi.x, b - hi.y));
  return s;
}

// c[16, 8] += a[16, 16] b[16, 8]. A lane holds 8 neighbours of K of a row in one 16-byte access: of
// two products (`step` 0, 1) that together cover 32 of K it gives words 2 step and 2 step + 1. A
// and B name K in the same, permuted, order, which a sum does not see.
__device__ inline void multiply(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline float add_squares(float sum, std::uint32_t pair) {
  const float2 two = as_floats(pair);
  return fmaf(two.x, two.x, fmaf(two.y, two.y, sum));
}

__device__ inline float inverse_rms(float squares, int hidden, float norm_eps) {
  return rsqrtf(squares / static_cast<float>(kStreams * hidden) + norm_eps);
}

// Which scale a mix has: that of pre, post or C.
__device__ inline int kind_of(int mix) {
  return min(mix / kStreams, 2);
}

// Without the slow path of a division: what is divided here is a normal number.
__device__ inline float reciprocal(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

__device__ inline float sigmoid(float x) {
  return reciprocal(1.0f + __expf(-x));
}

// Sinkhorn of one token in one thread. The entries of C are kept as r_i K_ij c_j: only the factors
// of rows and columns change, and half an iteration is four sums of products and four reciprocals.
// It is latency that counts, so many tokens go side by side in the lanes of a warp.
struct Sinkhorn {
  float k[kStreams * kStreams], r[kStreams], c[kStreams];

  __device__ void divide_rows(float eps) {
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      const float* row = k + i * kStreams;
      const float sum = fmaf(row[0], c[0], fmaf(row[1], c[1], fmaf(row[2], c[2], row[3] * c[3])));
      r[i] *= reciprocal(fmaf(r[i], sum, eps));
    }
  }
  __device__ void divide_columns(float eps) {
#pragma unroll
    for (int j = 0; j < kStreams; ++j) {
      const float sum =
          fmaf(r[0], k[j], fmaf(r[1], k[4 + j], fmaf(r[2], k[8 + j], r[3] * k[12 + j])));
      c[j] *= reciprocal(fmaf(c[j], sum, eps));
    }
  }
  // The first iteration, from 16 logits in k: a softmax, then columns.
  __device__ void start(float eps) {
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      float* row = k + i * kStreams;
      const float largest = fmaxf(fmaxf(row[0], row[1]), fmaxf(row[2], row[3]));
#pragma unroll
      for (int j = 0; j < kStreams; ++j) row[j] = __expf(row[j] - largest);
      const float inverse = reciprocal((row[0] + row[1]) + (row[2] + row[3]));
#pragma unroll
      for (int j = 0; j < kStreams; ++j) row[j] = fmaf(row[j], inverse, eps);
      r[i] = 1;
      c[i] = 1;
    }
    divide_columns(eps);
  }
  __device__ void iterate(float eps, int iterations) {
#pragma unroll 1
    for (int i = 0; i < iterations; ++i) {
      divide_rows(eps);
      divide_columns(eps);
    }
  }
  __device__ void write(float* comb) const {
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      const float* row = k + i * kStreams;
      reinterpret_cast<float4*>(comb)[i] = make_float4(r[i] * row[0] * c[0], r[i] * row[1] * c[1],
                                                       r[i] * row[2] * c[2], r[i] * row[3] * c[3]);
    }
  }
};

// post of one token by one warp; lane m holds the logit of mix m, m < 24.
__device__ inline void write_post(const Args& args, std::int64_t token, int lane, float logit) {
  if (args.post != nullptr && lane >= kStreams && lane < 2 * kStreams) {
    args.post[token * kStreams + lane - kStreams] = 2 * sigmoid(logit);
  }
}

// C of one token by one warp, in the same way.
__device__ inline void write_comb(const Args& args, std::int64_t token, int lane, float logit) {
  if (args.comb == nullptr) return;
  Sinkhorn sinkhorn;
#pragma unroll
  for (int i = 0; i < kStreams * kStreams; ++i) {
    sinkhorn.k[i] = __shfl_sync(~0u, logit, 2 * kStreams + i);
  }
  sinkhorn.start(args.eps);
  sinkhorn.iterate(args.eps, kSinkhornIterations - 1);
  if (lane == 0) sinkhorn.write(args.comb + token * kStreams * kStreams);
}

}  // namespace v4cap::kernels::mhc_pre
