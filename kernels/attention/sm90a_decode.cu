// Attention for few tokens of a sequence on Hopper: flash decoding with warpgroup products.
//
// One block carries 64 heads of one token over (a split of) the token's list, 64 entries at a time,
// in two buffers. An entry is dequantised once, to bf16 (exact), into tiles of 64 channels in the
// 128-byte swizzle, and read from there as key (K-major) and as value (MN-major). The two blocks of
// a token of 128 heads form a cluster: each dequantises half of the entries and copies them to the
// other.
// Roles   : 4 warpgroups. The first multiplies queries and keys, weighs them (online softmax) and
//           multiplies the weights with channels 0..255; the second with channels 256..511; the
//           others gather and dequantise. While a block of entries is weighed they fill the other
//           buffer; the products with the values run beside the next block's with the keys.
// Traffic : an entry's 584 B once for each token and 128 heads; queries and outputs once.
// Bound   : 64 heads do 8.4 MFLOP with a block of entries, 2048 cycles of tensor cores, and bring
//           queries, keys and values across shared memory with 264 KiB, 2112 cycles; dequantising
//           takes about 1000 cycles of each scheduler, half of that in pairs.
#include <cuda_runtime.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/decode.cuh"
#include "kernels/attention/launch.h"
#include "kernels/attention/sm90a_gather.cuh"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::attention::sm90a {
namespace {

__device__ void load_queries(Shared& shared, const Args& args, int token, int group) {
  const Bf16* q = args.q + token * args.q_stride + group * kHeadGroup * kHeadDim;
  const std::uint32_t to = hopper::shared_address(shared.q);
  for (int i = static_cast<int>(threadIdx.x); i < kHeadGroup * kTiles * 8; i += 256) {
    hopper::cp_async_16(to + static_cast<std::uint32_t>(tiled(i / 64, i % 64)), q + 8 * i);
  }
  hopper::cp_async_commit();
  hopper::cp_async_wait<0>();
  hopper::fence_async_shared();
  hopper::named_sync(1, 256);
}

// A warpgroup's output: channels in two halves, so that a product names 64 accumulators at a time.
// (A product of 256 columns needs more registers than a block of 512 threads can be started with.)
__device__ void scale_rows(float (&out)[2][64], float upper, float lower) {
  // Once the largest score has been seen nothing changes any more: usually after few blocks.
  if (!__any_sync(~0u, upper != 1.0f || lower != 1.0f)) return;
#pragma unroll
  for (float(&part)[64] : out) {
#pragma unroll
    for (int i = 0; i < 64; i += 4) {
      part[i] *= upper;
      part[i + 1] *= upper;
      part[i + 2] *= lower;
      part[i + 3] *= lower;
    }
  }
}

__device__ void pin_out(float (&out)[2][64]) {
  hopper::pin(out[0]);
  hopper::pin(out[1]);
}

// The two ways out for 256 channels from `column0` on. `row0`: of the block's first head.
__device__ void store_sums(const Partials& partials, const float (&out)[2][64], std::int64_t row0,
                           int column0, int splits, int split, int warp, int lane) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = row0 + warp * 16 + half * 8 + lane / 4;
    float* to = partials.sums + (row * splits + split) * kHeadDim + column0 + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kHalf / 8; ++j) {
      *reinterpret_cast<float2*>(to + 8 * j) = make_float2(
          out[j / 16][4 * (j % 16) + 2 * half], out[j / 16][4 * (j % 16) + 2 * half + 1]);
    }
  }
}

// By way of the queries' and weights' places, which nobody reads any more, and bulk copies of half
// a head each: a thread's own places in memory are 4 bytes wide. (The entries' buffers may still be
// on their way to the other block.)
__device__ void store_quotients(Shared& shared, const Args& args, const float (&out)[2][64],
                                std::int64_t row0, int column0, float upper, float lower, int warp,
                                int lane) {
  constexpr int kRow = kHeadDim * 2 + 16;  // bytes: rows start 4 banks apart
  static_assert(kHeadGroup * kRow <= offsetof(Shared, kv));
  std::uint8_t* rows = shared.q + warp * 16 * kRow + column0 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float inverse = half == 0 ? upper : lower;
    std::uint8_t* to = rows + (half * 8 + lane / 4) * kRow + lane % 4 * 4;
#pragma unroll
    for (int j = 0; j < kHalf / 8; ++j) {
      *reinterpret_cast<__nv_bfloat162*>(to + 16 * j) =
          __floats2bfloat162_rn(out[j / 16][4 * (j % 16) + 2 * half] * inverse,
                                out[j / 16][4 * (j % 16) + 2 * half + 1] * inverse);
    }
  }
  hopper::fence_async_shared();
  __syncwarp();
  if (lane < 16) {
    Bf16* to = args.out + (row0 + warp * 16 + lane) * kHeadDim + column0;
    hopper::bulk_store(to, rows + lane * kRow, kHalf * 2);
    hopper::bulk_store_wait();
  }
}

// The same operand, `bytes` further.
__device__ std::uint64_t further(std::uint64_t descriptor, int bytes) {
  return descriptor + static_cast<std::uint64_t>(bytes / 16);
}

__device__ void multiply_keys(float (&scores)[32], std::uint32_t q, std::uint32_t k) {
  const std::uint64_t a = made_here(hopper::describe_k_major(q));
  const std::uint64_t b = made_here(hopper::describe_k_major(k));
  hopper::wgmma_fence();
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const int at = tile * kTileBytes + step * 32;
      hopper::wgmma_bf16<64>(scores, further(a, at), further(b, at), tile + step > 0 ? 1 : 0);
    }
  }
  hopper::wgmma_commit();
}

struct Row {
  float largest = -INFINITY;  // in units of log2 e
  float sum = 0;              // of the columns of this thread
  float factor = 1;
};

__device__ float exponential(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Scores of one of a thread's two rows become weights; four threads share a row.
__device__ void weigh(float (&scores)[32], int half, Row& row, float scale) {
  float largest = -INFINITY;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    largest = fmaxf(largest, fmaxf(scores[4 * j + 2 * half], scores[4 * j + 2 * half + 1]));
  }
  largest = fmaxf(warp_max<4>(largest) * scale, row.largest);
  // Where nothing was seen yet every score is -infinity and every weight 0.
  const float base = largest == -INFINITY ? 0 : largest;
  row.factor = exponential(row.largest - base);
  row.largest = largest;
  float sum = 0;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float& s = scores[4 * j + 2 * half + i];
      s = exponential(fmaf(s, scale, -base));
      sum += s;
    }
  }
  row.sum = row.sum * row.factor + sum;
}

template <int kCtas>
__device__ void weigh_and_multiply(Shared& shared, const Args& args, const Partials& partials,
                                   const ListRange& range, int group, std::int64_t row0, int splits,
                                   int split, int warp, int lane) {
  const std::uint32_t q = hopper::shared_address(shared.q);
  const std::uint32_t weights = hopper::shared_address(shared.weights);
  const std::uint32_t kv = hopper::shared_address(shared.kv[0]);
  const int row = warp * 16 + lane / 4;
  float out[2][64] = {};
  float scores[32];
  Row upper, lower;
  const int blocks = range.end - range.first;
  if (blocks > 0) {
    hopper::barrier_wait(&shared.filled[0], 0);
    multiply_keys(scores, q, kv);
    hopper::wgmma_wait<0>();
    hopper::pin(scores);
  }
  for (int i = 0; i < blocks; ++i) {
    const int stage = i % 2;
    auto present = *reinterpret_cast<const std::uint64_t*>(shared.present[stage]);
    if (present != ~std::uint64_t{0}) {
      present >>= 2 * (lane % 4);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          if ((present >> (8 * j + c) & 1) == 0) {
            scores[4 * j + c] = -INFINITY;
            scores[4 * j + 2 + c] = -INFINITY;
          }
        }
      }
    }
    weigh(scores, 0, upper, args.scale * kLog2e);
    weigh(scores, 1, lower, args.scale * kLog2e);
    if (i > 0)
      hopper::barrier_wait(&shared.multiplied,
                           (i - 1) % 2);  // the second has read what stands there
#pragma unroll
    for (int j = 0; j < 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = tiled(row + 8 * half, j) + 4 * (lane % 4);
        *reinterpret_cast<__nv_bfloat162*>(shared.weights + at) =
            __floats2bfloat162_rn(scores[4 * j + 2 * half], scores[4 * j + 2 * half + 1]);
      }
    }
    if (lane % 4 == 0) {
      shared.factor[row] = upper.factor;
      shared.factor[row + 8] = lower.factor;
    }
    hopper::fence_async_shared();
    hopper::named_sync(2, 128);
    if (lane == 0) hopper::barrier_arrive(&shared.weighed);
    scale_rows(out, upper.factor, lower.factor);
    pin_out(out);
    hopper::pin(scores);
    const std::uint64_t a = made_here(hopper::describe_k_major(weights));
    const std::uint64_t values = made_here(hopper::describe_mn_major(
        kv + static_cast<std::uint32_t>(stage * kBufferBytes), kTileBytes));
    hopper::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      hopper::wgmma_bf16<128, 1>(out[0], further(a, k * 32), further(values, k * 2048), 1);
      hopper::wgmma_bf16<128, 1>(out[1], further(a, k * 32),
                                 further(values, 2 * kTileBytes + k * 2048), 1);
    }
    hopper::wgmma_commit();
    if (i + 1 < blocks) {
      hopper::barrier_wait(&shared.filled[stage ^ 1], (i + 1) / 2 % 2);
      multiply_keys(scores, q, kv + static_cast<std::uint32_t>((stage ^ 1) * kBufferBytes));
      hopper::wgmma_wait<1>();  // the products with this block's values
      release<kCtas>(&shared.emptied[stage], group, lane);
    }
    hopper::wgmma_wait<0>();
    hopper::pin(scores);
    pin_out(out);
  }

  upper.sum = warp_sum<4>(upper.sum);
  lower.sum = warp_sum<4>(lower.sum);
  float inverse[2] = {1, 1};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Row& r = half == 0 ? upper : lower;
    const int head = row + 8 * half;
    if (splits > 1) {
      if (lane % 4 == 0) {
        reinterpret_cast<float2*>(partials.scales)[(row0 + head) * splits + split] =
            make_float2(r.largest, r.sum);
      }
    } else {
      inverse[half] = 1 / with_sink(r.sum, r.largest, args.sink[group * kHeadGroup + head]);
      if (lane % 4 == 0 && args.lse != nullptr) {
        args.lse[row0 + head] = r.largest * kLn2 + logf(r.sum);
      }
    }
  }
  // The second warpgroup divides by the same sums: they follow the last block's factors.
  if (blocks > 0) hopper::barrier_wait(&shared.multiplied, (blocks - 1) % 2);
  if (lane % 4 == 0) {
    shared.factor[row] = inverse[0];
    shared.factor[row + 8] = inverse[1];
  }
  __syncwarp();
  if (lane == 0) hopper::barrier_arrive(&shared.weighed);
  if (splits > 1) {
    store_sums(partials, out, row0, 0, splits, split, warp, lane);
  } else {
    store_quotients(shared, args, out, row0, 0, inverse[0], inverse[1], warp, lane);
  }
}

template <int kCtas>
__device__ void multiply_values(Shared& shared, const Args& args, const Partials& partials,
                                const ListRange& range, int group, std::int64_t row0, int splits,
                                int split, int warp, int lane) {
  const std::uint32_t weights = hopper::shared_address(shared.weights);
  const std::uint32_t kv = hopper::shared_address(shared.kv[0]) + kTiles / 2 * kTileBytes;
  const int row = warp * 16 + lane / 4;
  float out[2][64] = {};
  const int blocks = range.end - range.first;
  for (int i = 0; i < blocks; ++i) {
    const int stage = i % 2;
    hopper::barrier_wait(&shared.filled[stage], i / 2 % 2);
    hopper::barrier_wait(&shared.weighed, i % 2);
    scale_rows(out, shared.factor[row], shared.factor[row + 8]);
    pin_out(out);
    const std::uint64_t a = made_here(hopper::describe_k_major(weights));
    const std::uint64_t values = made_here(hopper::describe_mn_major(
        kv + static_cast<std::uint32_t>(stage * kBufferBytes), kTileBytes));
    hopper::wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      hopper::wgmma_bf16<128, 1>(out[0], further(a, k * 32), further(values, k * 2048), 1);
      hopper::wgmma_bf16<128, 1>(out[1], further(a, k * 32),
                                 further(values, 2 * kTileBytes + k * 2048), 1);
    }
    hopper::wgmma_commit();
    hopper::wgmma_wait<0>();
    pin_out(out);
    if (lane == 0) hopper::barrier_arrive(&shared.multiplied);
    release<kCtas>(&shared.emptied[stage], group, lane);
  }
  hopper::barrier_wait(&shared.weighed, blocks % 2);
  if (splits > 1) {
    store_sums(partials, out, row0, kHalf, splits, split, warp, lane);
  } else {
    store_quotients(shared, args, out, row0, kHalf, shared.factor[row], shared.factor[row + 8],
                    warp, lane);
  }
}

template <int kCtas>
__global__ void __launch_bounds__(kThreads, 1)
    decode(const __grid_constant__ Args args, Partials partials, int splits, int head_groups) {
  extern __shared__ __align__(1024) std::uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  // From one lane, so that the compiler knows it to be the same in a warp.
  const int warpgroup = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / 128, 0);
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = static_cast<int>(blockIdx.x) % head_groups;  // in a cluster: the block's rank
  const int split = static_cast<int>(blockIdx.x) / head_groups % splits;
  const int token = static_cast<int>(blockIdx.x) / head_groups / splits;
  const SeenEntries seen =
      seen_entries(args.kind, args.compress_ratio, args.top_k, args.batch.positions[token]);
  const ListRange range = split_range(seen.list_blocks(), splits, split);
  const std::int64_t row0 = std::int64_t{token} * args.heads + group * kHeadGroup;

  if (threadIdx.x == 0) {
    for (int stage = 0; stage < 2; ++stage) {
      hopper::barrier_init(&shared.filled[stage], kProducerWarps);
      hopper::barrier_init(&shared.emptied[stage], kCtas * 8);
    }
    hopper::barrier_init(&shared.weighed, 4);
    hopper::barrier_init(&shared.multiplied, 4);
    hopper::barrier_init_fence();
    shared.list = {token, args.batch.sequence_of[token],
                   static_cast<std::int32_t>(seen.window_first), seen.window, seen.extra};
  }
  if constexpr (kCtas == 1) {
    __syncthreads();
  } else {
    hopper::cluster_sync();
  }

  if (warpgroup == 0) {
    hopper::registers_increase<kMathRegisters<kCtas>>();
    load_queries(shared, args, token, group);
    weigh_and_multiply<kCtas>(shared, args, partials, range, group, row0, splits, split, warp,
                              lane);
  } else if (warpgroup == 1) {
    hopper::registers_increase<kMathRegisters<kCtas>>();
    load_queries(shared, args, token, group);
    multiply_values<kCtas>(shared, args, partials, range, group, row0, splits, split, warp, lane);
  } else {
    hopper::registers_decrease<kProducerRegisters<kCtas>>();
    const int producer = static_cast<int>(threadIdx.x) / 32 - 8;
    produce<kCtas>(shared, args, range, kCtas > 1 ? group : 0, producer, lane);
  }
  // Neither block ends while the other may still write to it.
  if constexpr (kCtas > 1) hopper::cluster_sync();
}

std::string refuses(const Args& args) {
  if (args.batch.max_new_tokens > kDecodeTokens) return "prefill";
  if (args.batch.max_context >= kInWindow) return "positions need more than 30 bits";
  if (!(args.scale > 0)) return "scale is not positive";
  if (!whole_power_pages(args)) return "pages do not hold a power of two of entries";
  return shape_refusal(args);
}

template <int kCtas>
void launch_ctas(const Args& args, const Partials& partials, int splits, Stream stream) {
  const auto kernel = decode<kCtas>;
  V4CAP_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  const int groups = args.heads / kHeadGroup;
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kCtas, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = {static_cast<unsigned>(args.batch.tokens * groups * splits), 1, 1};
  config.blockDim = {kThreads, 1, 1};
  config.dynamicSmemBytes = sizeof(Shared);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, kernel, args, partials, splits, groups));
}

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.batch.tokens == 0) return;
  const int splits = split_count(args);
  const Partials partials = splits > 1 ? partials_in(workspace, args) : Partials{};
  if (args.heads == 2 * kHeadGroup) {
    launch_ctas<2>(args, partials, splits, stream);
  } else {
    launch_ctas<1>(args, partials, splits, stream);
  }
  if (splits > 1) launch_combine(args, partials, splits, stream);
}

const Register<Args> kVersion{
    {.name = "sm90a_decode",
     .target = Target::sm90a,
     .preference = 10,
     .idea = "wgmma; other warps dequantise, for 128 heads in pairs of blocks",
     .refuses = refuses,
     .workspace_bytes = partials_bytes,
     .launch = launch}};
}  // namespace
}  // namespace v4cap::kernels::attention::sm90a
