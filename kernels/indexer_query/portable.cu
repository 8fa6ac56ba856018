// Indexer query: RoPE + Hadamard + quantiser and the head weights, 8 heads a warp, most of the
// transform on the tensor cores.
// Traffic : 256 B in and 132 (FP8) or 72 (FP4) B out a head, and 4 B of weight in: bound by memory
//           if the transform's 7 additions a channel and the exchanges between lanes, which by
//           butterflies alone take twice as long as the bytes, are kept small.
// Idea    : H128 is H16 (channel bits 0, 4, 5, 6) times H8 (bits 1, 2, 3). The inputs are bf16 and
//           the entries of H16 are +-1, so mma.sync gives the H16 part exactly, in float: 8
//           products m16n8k16 for 8 heads, one for each value of bits 1..3. The H8 part is then a
//           butterfly over the 8 accumulators, which one thread holds.
// Layout  : with lane = 4 r + q a thread loads channels 16 q .. 16 q + 15 of either half of head r
//           (32 bytes each) and these are its B operands as they are; it ends up with channels
//           16 r .. 16 r + 15 of heads 2 q and 2 q + 1, 16 bytes of codes each.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/entry.cuh"
#include "kernels/indexer_query/indexer_query.h"
#include "kernels/indexer_query/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::indexer_query {
namespace {

constexpr float kTransformScale = 0.08838834764831845f;  // 128^-1/2
constexpr float kHeadWeight = kTransformScale * 0.125f;  // 128^-1/2 * 64^-1/2
constexpr int kRun = 16;                                 // channels side by side in a thread
constexpr int kPairs = kRun / 2;

// 16 bf16 numbers as 8 pairs.
__device__ void load_run(std::uint32_t (&pairs)[kPairs], const Bf16* from) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint4 four = *reinterpret_cast<const uint4*>(from + 8 * i);
    pairs[4 * i] = four.x;
    pairs[4 * i + 1] = four.y;
    pairs[4 * i + 2] = four.z;
    pairs[4 * i + 3] = four.w;
  }
}

__device__ float low_half(std::uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ float high_half(std::uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}
__device__ std::uint32_t pack_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
__device__ __nv_bfloat162 as_bf162(std::uint32_t pair) {
  return *reinterpret_cast<const __nv_bfloat162*>(&pair);
}

// H16 as the A operand: rows are output channels 16 r + (0 or 1), columns input channels with any
// bits 0, 4, 5, 6. Entry (-1)^(number of bits that both have).
__device__ void transform_operand(std::uint32_t (&a)[4], unsigned r, unsigned q) {
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {  // bit 0 of i: bit 0 of the output; bit 1: bit 6 of the input
    const bool negative = (__popc(r & (q | (i >> 1) << 2)) & 1) != 0;
    const std::uint32_t pair = (i & 1) != 0 ? 0xbf803f80u : 0x3f803f80u;
    a[i] = negative ? pair ^ 0x80008000u : pair;
  }
}

__device__ void multiply(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1) {
  c[0] = c[1] = c[2] = c[3] = 0;
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// e2m1 codes of a pair of bf16 numbers of at most 6, in the low 4 bits of either half. From 1 on,
// rounding to one bit of mantissa is an integer addition; what is left of the exponent is 4 too
// many, modulo 8. Below 1, adding 64 leaves the number of halves, rounded to even, in the low bits.
__device__ std::uint32_t e2m1_pair(std::uint32_t pair) {
  const std::uint32_t size = pair & 0x7fff7fffu;
  const std::uint32_t rounded = (size + 0x001f001fu + ((size >> 6) & 0x00010001u)) >> 6;
  const __nv_bfloat162 sum = __hadd2(as_bf162(size), as_bf162(0x42804280u));
  const std::uint32_t halves = *reinterpret_cast<const std::uint32_t*>(&sum);
  const std::uint32_t below_1 = __hlt2_mask(as_bf162(size), as_bf162(0x3f803f80u));
  const std::uint32_t code = (halves & below_1) | ((rounded ^ 0x00040004u) & ~below_1);
  return (code & 0x00070007u) | (pair >> 12 & 0x00080008u);
}

template <KeyFormat kFormat>
__global__ void __launch_bounds__(kWarpsPerBlock * 32) rotate_quantise(Args args) {
  const int item =
      static_cast<int>(blockIdx.x) * kWarpsPerBlock + static_cast<int>(threadIdx.x / 32);
  const int token = item / kWarpsPerToken, head = item % kWarpsPerToken * kHeadsPerWarp;
  const unsigned r = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  const std::int64_t row = std::int64_t{token} * kIndexHeads + head;
  const Bf16* in = args.q + (row + r) * kIndexDim + kRun * q;
  std::uint32_t plain[kPairs], turned[kPairs];
  load_run(plain, in);
  load_run(turned, in + kRopeDim);
  const float* w = args.w + token * args.w_stride + head + 2 * q;
  const float head_weights[2] = {w[0] * kHeadWeight, w[1] * kHeadWeight};
  float angles[kRun];
  load_floats(angles, args.rope + std::int64_t{args.batch.positions[token]} * kRopeDim + kRun * q);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const float cosine = angles[2 * i], sine = angles[2 * i + 1];
    const float even = low_half(turned[i]), odd = high_half(turned[i]);
    turned[i] = pack_pair(even * cosine - odd * sine, even * sine + odd * cosine);
  }

  std::uint32_t a[4];
  transform_operand(a, r, q);
  float c[kPairs][4];  // of channel pair i: (head 2 q, 2 q + 1) of its first channel, of its second
#pragma unroll
  for (int i = 0; i < kPairs; ++i) multiply(c[i], a, plain[i], turned[i]);
#pragma unroll
  for (int half = 1; half < kPairs; half *= 2) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if ((i & half) != 0) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const float x = c[i][k], y = c[i + half][k];
        c[i][k] = x + y;
        c[i + half][k] = x - y;
      }
    }
  }

#pragma unroll
  for (int which = 0; which < 2; ++which) {
    std::uint32_t x[kPairs];
    __nv_bfloat162 largest_pair = as_bf162(0);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      x[i] = pack_pair(c[i][which] * kTransformScale, c[i][2 + which] * kTransformScale);
      largest_pair = __hmax2(largest_pair, __habs2(as_bf162(x[i])));
    }
    float largest = fmaxf(__low2float(largest_pair), __high2float(largest_pair));
    const std::int64_t out = row + 2 * q + which;
    float weight = head_weights[which];
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 4));
    if constexpr (kFormat == KeyFormat::fp8) {
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 8));
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 16));
      const std::uint8_t scale = fp8_block_scale(largest);
      const float inverse = inverse_scale(scale);
      weight *= ue8m0_to_float(scale);
      std::uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[i] = pack_e4m3(low_half(x[2 * i]) * inverse, high_half(x[2 * i]) * inverse,
                             low_half(x[2 * i + 1]) * inverse, high_half(x[2 * i + 1]) * inverse);
      }
      *reinterpret_cast<uint4*>(args.codes + out * kIndexDim + kRun * r) =
          make_uint4(words[0], words[1], words[2], words[3]);
    } else {
      const std::uint8_t scale = fp4_block_scale(largest);
      const __nv_bfloat162 inverse = __float2bfloat162_rn(inverse_scale(scale));
      std::uint32_t words[2] = {0, 0};
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        const __nv_bfloat162 scaled = __hmul2(as_bf162(x[i]), inverse);
        const std::uint32_t codes = e2m1_pair(*reinterpret_cast<const std::uint32_t*>(&scaled));
        words[i / 4] |= ((codes | codes >> 12) & 0xffu) << (8 * (i % 4));
      }
      *reinterpret_cast<uint2*>(args.codes + out * (kIndexDim / 2) + kRun / 2 * r) =
          make_uint2(words[0], words[1]);
      constexpr unsigned kLanes = kExpertScaleBlock / kRun;
      if (r % kLanes == 0) {
        args.scales[out * (kIndexDim / kExpertScaleBlock) + r / kLanes] = scale;
      }
    }
    if (r == 0) args.weights[out] = weight;
  }
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.tokens == 0) return;
  const auto blocks = static_cast<unsigned>(blocks_of(args));
  if (args.format == KeyFormat::fp8) {
    rotate_quantise<KeyFormat::fp8><<<blocks, kWarpsPerBlock * 32, 0, stream>>>(args);
  } else {
    rotate_quantise<KeyFormat::fp4><<<blocks, kWarpsPerBlock * 32, 0, stream>>>(args);
  }
  V4CAP_LAUNCHED("indexer_query");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "8 heads a warp, Hadamard by mma of +-1 and butterflies",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::indexer_query
