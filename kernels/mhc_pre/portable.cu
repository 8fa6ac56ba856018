// mhc_pre in two kernels, for any width that is a multiple of 256.
//   partial_sums : a block of 8 warps multiplies 16 or 64 tokens with its part of the channels of fn
//                  (bf16 products of hi and lo parts, split on the fly), a warp one of the streams,
//                  and writes 25 sums a token. For few tokens it may make the streams itself first,
//                  from those before mhc_post.
//   mix_streams  : a block a token adds the parts in their order, makes the mixes and sums the
//                  streams; it is launched while the first kernel runs (programmatic dependent
//                  launch) and Sinkhorn has a warp of its own.
// Traffic : the streams are read twice (18 d bytes a token), fn once per tile of tokens, from L2.
// Small T : splits over the channels put a block on nearly every multiprocessor; fn comes through
// all
//           of them, which is what clusters of one GPC cannot do.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/mhc_pre/mixes.cuh"
#include "kernels/mhc_pre/portable.h"

namespace v4cap::kernels::mhc_pre {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kColumns = kPortableColumns;
constexpr int kMostThreads = 32 * (kPortableMostWarps + 1);
// Two blocks on a multiprocessor where the compiler finds registers for that without spilling.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kSpreadBlocks = 1;
#else
constexpr int kSpreadBlocks = 2;
#endif

__device__ inline void let_dependents_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
__device__ inline void wait_for_primary() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// mhc_post of 8 channels of a token, one new stream: from 4 streams, the output and their shares.
__device__ inline uint4 spread(const uint4 (&x)[kStreams], uint4 y, float post,
                               const float (&comb)[kStreams]) {
  const auto pair = [&](std::uint32_t y_pair, std::uint32_t x0, std::uint32_t x1, std::uint32_t x2,
                        std::uint32_t x3) {
    const std::uint32_t pairs[kStreams] = {x0, x1, x2, x3};
    float2 sum = as_floats(y_pair);
    sum = make_float2(post * sum.x, post * sum.y);
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      const float2 two = as_floats(pairs[i]);
      sum = make_float2(fmaf(comb[i], two.x, sum.x), fmaf(comb[i], two.y, sum.y));
    }
    return as_bits(__floats2bfloat162_rn(sum.x, sum.y));
  };
  return make_uint4(
      pair(y.x, x[0].x, x[1].x, x[2].x, x[3].x), pair(y.y, x[0].y, x[1].y, x[2].y, x[3].y),
      pair(y.z, x[0].z, x[1].z, x[2].z, x[3].z), pair(y.w, x[0].w, x[1].w, x[2].w, x[3].w));
}

// kRows tiles of 16 tokens, kMixTiles tiles of 8 mixes; kSpread: kRows == 1.
template <int kRows, int kMixTiles, bool kSpread>
__global__ void __launch_bounds__(kThreads, kSpread ? kSpreadBlocks : 2)
    partial_sums(Args args, mhc_post::Args post, PortablePlan plan, float* out) {
  __shared__ float shared[kWarps][16][8 * kMixTiles + 1];
  let_dependents_start();
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int stream = warp % kStreams;
  const std::int64_t hidden = args.hidden, wide = kStreams * hidden;
  const int part = static_cast<int>(blockIdx.y);
  const int first = static_cast<int>(blockIdx.x) * 16 * kRows;
  const int begin = part * plan.steps * kPortableStep;
  const int end = min(begin + plan.steps * kPortableStep, args.hidden);
  // Rows behind the last token are its copies; their sums are not written.
  const auto token_or_last = [&](int r, int half) {
    return std::int64_t{min(first + r * 16 + half * 8 + lane / 4, args.tokens - 1)};
  };
  float share[2], comb[2][kStreams];
  if constexpr (kSpread) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::int64_t token = token_or_last(0, half);
      share[half] = post.post[token * kStreams + stream];
#pragma unroll
      for (int i = 0; i < kStreams; ++i) {
        comb[half][i] = post.comb[(token * kStreams + i) * kStreams + stream];
      }
    }
  }
  float sums[kRows][kMixTiles][4] = {};
  float squares[kRows][2] = {};
  for (int c = begin + warp / kStreams * 32 + lane % 4 * 8; c < end; c += kPortableStep) {
    uint4 x[kRows][2];
    if constexpr (kSpread) {
      uint4 old[2][kStreams], y[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const std::int64_t token = token_or_last(0, half);
        y[half] = *reinterpret_cast<const uint4*>(post.y + token * hidden + c);
#pragma unroll
        for (int i = 0; i < kStreams; ++i) {
          old[half][i] = *reinterpret_cast<const uint4*>(post.x + token * wide + i * hidden + c);
        }
      }
      // In place: these channels of all streams are read by the block's warps before one writes.
      __syncthreads();
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const std::int64_t token = first + half * 8 + lane / 4;
        x[0][half] = spread(old[half], y[half], share[half], comb[half]);
        if (token < args.tokens) {
          *reinterpret_cast<uint4*>(post.out + token * wide + stream * hidden + c) = x[0][half];
        }
      }
    } else {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          x[r][half] = *reinterpret_cast<const uint4*>(args.x + token_or_last(r, half) * wide +
                                                       stream * hidden + c);
        }
      }
    }
#pragma unroll
    for (int n = 0; n < kMixTiles; ++n) {
      const int m = n * 8 + lane / 4;
      float4 f[2];
      f[0] = f[1] = {};
      if (m < args.mixes) {
        const auto* from =
            reinterpret_cast<const float4*>(args.fn + m * wide + stream * hidden + c);
        f[0] = __ldg(from);
        f[1] = __ldg(from + 1);
      }
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        const SplitPair b0 = split(f[step].x, f[step].y), b1 = split(f[step].z, f[step].w);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const uint4 top = x[r][0], bottom = x[r][1];
          const std::uint32_t a[4] = {step == 0 ? top.x : top.z, step == 0 ? bottom.x : bottom.z,
                                      step == 0 ? top.y : top.w, step == 0 ? bottom.y : bottom.w};
          multiply(sums[r][n], a, b0.hi, b1.hi);
          multiply(sums[r][n], a, b0.lo, b1.lo);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 v = x[r][half];
        const float sum = add_squares(add_squares(squares[r][half], v.x), v.y);
        squares[r][half] = add_squares(add_squares(sum, v.z), v.w);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float* row = shared[warp][half * 8 + lane / 4];
#pragma unroll
      for (int n = 0; n < kMixTiles; ++n) {
        row[n * 8 + lane % 4 * 2] = sums[r][n][2 * half];
        row[n * 8 + lane % 4 * 2 + 1] = sums[r][n][2 * half + 1];
      }
      const float square = warp_sum<4>(squares[r][half]);
      if (lane % 4 == 0) row[8 * kMixTiles] = square;
    }
    __syncthreads();
    constexpr int kUsed = 8 * kMixTiles + 1;
    for (int index = static_cast<int>(threadIdx.x); index < 16 * kUsed; index += kThreads) {
      const int row = index / kUsed, column = index % kUsed;
      const std::int64_t token = first + r * 16 + row;
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += shared[w][row][column];
      // The square stands last, behind the largest number of mixes.
      const int to = column == 8 * kMixTiles ? kMixes : column;
      if (token < args.tokens) {
        out[(part * std::int64_t{args.tokens} + token) * kColumns + to] = sum;
      }
    }
    __syncthreads();
  }
}

// The last warp makes the mixes, the others sum the streams.
__global__ void __launch_bounds__(kMostThreads)
    mix_streams(Args args, int splits, const float* parts) {
  __shared__ float sums[kPortableMostWarps + 1][32];
  __shared__ float4 shared_pre;
  const std::int64_t token = blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  const bool mixer = warp == warps - 1;
  float scale = 0, base = 0;
  if (mixer && lane < args.mixes) {
    scale = args.scale[kind_of(lane)];
    base = args.base[lane];
  }
  wait_for_primary();
  float sum = 0;
  if (lane < args.mixes || lane == kMixes) {
#pragma unroll 4
    for (int s = warp; s < splits; s += warps) {
      sum += parts[(std::int64_t{s} * args.tokens + token) * kColumns + lane];
    }
  }
  sums[warp][lane] = sum;
  __syncthreads();
  float logit = 0;
  if (mixer) {
    sum = 0;
#pragma unroll 8
    for (int w = 0; w < warps; ++w) sum += sums[w][lane];
    const float squares = __shfl_sync(~0u, sum, kMixes);
    logit = fmaf(sum * inverse_rms(squares, args.hidden, args.norm_eps), scale, base);
    const float gate = sigmoid(logit) + args.eps;
    const float4 pre = {__shfl_sync(~0u, gate, 0), __shfl_sync(~0u, gate, 1),
                        __shfl_sync(~0u, gate, 2), __shfl_sync(~0u, gate, 3)};
    if (lane == 0) shared_pre = pre;
  }
  __syncthreads();
  if (mixer) {
    write_post(args, token, lane, logit);
    write_comb(args, token, lane, logit);
    return;
  }
  const float4 pre = shared_pre;
  const float weights[kStreams] = {pre.x, pre.y, pre.z, pre.w};
  const Bf16* x = args.x + token * kStreams * args.hidden;
  for (int c = static_cast<int>(threadIdx.x) * 8; c < args.hidden; c += (warps - 1) * 32 * 8) {
    float total[8] = {};
#pragma unroll
    for (int j = 0; j < kStreams; ++j) {
      float values[8];
      unpack(*reinterpret_cast<const Bf16x8*>(x + std::int64_t{j} * args.hidden + c), values);
#pragma unroll
      for (int i = 0; i < 8; ++i) total[i] = fmaf(weights[j], values[i], total[i]);
    }
    const Bf16x8 packed = pack_bf16(total);
    // As one store: assigned as they are, the four pairs may become four.
    *reinterpret_cast<uint4*>(args.y + token * args.hidden + c) =
        *reinterpret_cast<const uint4*>(&packed);
  }
}

template <int kRows, bool kSpread>
void launch_sums(const Args& args, const mhc_post::Args& post, const PortablePlan& plan,
                 float* parts, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.splits));
  if (args.mixes == kMixes) {
    partial_sums<kRows, 3, kSpread><<<grid, kThreads, 0, stream>>>(args, post, plan, parts);
  } else {
    partial_sums<kRows, 1, kSpread><<<grid, kThreads, 0, stream>>>(args, post, plan, parts);
  }
  V4CAP_LAUNCHED("mhc_pre, partial sums");
}

void launch_mixes(const Args& args, const PortablePlan& plan, const float* parts,
                  cudaStream_t stream) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = {static_cast<unsigned>(args.tokens), 1, 1};
  config.blockDim = {32 * static_cast<unsigned>(plan.sum_warps + 1), 1, 1};
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, mix_streams, args, plan.splits, parts));
}

std::size_t workspace_bytes(const Args& args) {
  return portable_workspace_bytes(args.tokens, args.hidden);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "split sums, then a block a token",
                               .refuses = refuses_shape,
                               .workspace_bytes = workspace_bytes,
                               .launch = launch_portable}};

}  // namespace

void launch_portable(const Args& args, void* workspace, Stream stream) {
  if (args.tokens == 0) return;
  const PortablePlan plan = portable_plan(args.tokens, args.hidden);
  auto* parts = static_cast<float*>(workspace);
  if (plan.tile == 64) {
    launch_sums<4, false>(args, {}, plan, parts, stream);
  } else {
    launch_sums<1, false>(args, {}, plan, parts, stream);
  }
  launch_mixes(args, plan, parts, stream);
}

void launch_portable_spreading(const Args& args, const mhc_post::Args& post, void* workspace,
                               Stream stream) {
  if (args.tokens == 0) return;
  const PortablePlan plan = portable_plan(args.tokens, args.hidden);
  auto* parts = static_cast<float*>(workspace);
  launch_sums<1, true>(args, post, plan, parts, stream);
  launch_mixes(args, plan, parts, stream);
}

}  // namespace v4cap::kernels::mhc_pre
