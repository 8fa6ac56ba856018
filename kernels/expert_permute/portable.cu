// Counting sort of the (token, choice) pairs by local expert, stable, without atomics whose order
// could show.
// Idea    : a warp walks a chunk of pairs in order, 32 at a time. Lanes with the same expert find each
//           other by a match over the warp: their number is what the chunk's counter grows by, their
//           order is their rank. Counters lie [expert, chunk], so that one exclusive sum over them all
//           gives the first row of every expert in every chunk, and offsets on the way. A second walk
//           places the rows.
//           Up to 8192 pairs one block does all three steps in shared memory; beyond, three launches.
// Traffic : 8 B a pair read (twice), 12 B written: a few microseconds, bound by latency.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/expert_permute/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::expert_permute {
namespace {

constexpr int kThreads = kWarp * kWarpsPerBlock;

// Steps of a chunk: all its pairs are read at once.
constexpr int kSteps = kChunkOfMany / kWarp;
static_assert(kMaxOneBlock == kWarpsPerBlock * kChunkOfMany);

// Of a lane, one pair a step.
struct Chunk {
  int begin = 0, end = 0;
  int expert[kSteps];  // local, -1: not here or past the end
};

__device__ Chunk read_chunk(const Args& args, const Plan& plan, int chunk) {
  Chunk c;
  c.begin = chunk * plan.chunk;
  c.end = min(c.begin + plan.chunk, plan.pairs);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int pair = c.begin + step * kWarp + static_cast<int>(threadIdx.x) % kWarp;
    c.expert[step] = pair < c.end ? args.chosen[pair] - args.first_expert : -1;
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    if (c.expert[step] >= args.local_experts) c.expert[step] = -1;
    c.expert[step] = max(c.expert[step], -1);
  }
  return c;
}

// Where a lane stands among the lanes with the same expert.
struct Rank {
  int before = 0;
  bool last = false;
};
__device__ Rank rank_of(int expert) {
  const unsigned same = __match_any_sync(~0u, expert);
  const auto lane = threadIdx.x % kWarp;
  return {__popc(same & ((1u << lane) - 1u)), same >> lane == 1u};
}

// Counts the experts of a chunk into counts[expert * stride], zero before, in shared memory.
__device__ void count_chunk(const Chunk& c, std::int32_t* counts, int stride) {
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    if (c.begin + step * kWarp >= c.end) break;
    const Rank rank = rank_of(c.expert[step]);
    if (c.expert[step] >= 0 && rank.last) counts[c.expert[step] * stride] += rank.before + 1;
    __syncwarp();
  }
}

// Places the pairs of a chunk; the counters hold first rows and move on.
__device__ void place_chunk(const Args& args, const Chunk& c, std::int32_t* firsts, int stride) {
  float weight[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int pair = c.begin + step * kWarp + static_cast<int>(threadIdx.x) % kWarp;
    weight[step] = c.expert[step] >= 0 ? args.weights[pair] : 0.0f;
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    if (c.begin + step * kWarp >= c.end) break;
    const int pair = c.begin + step * kWarp + static_cast<int>(threadIdx.x) % kWarp;
    const int expert = c.expert[step];
    const Rank rank = rank_of(expert);
    std::int32_t* first = firsts + max(expert, 0) * stride;
    const std::int32_t row = expert < 0 ? -1 : *first + rank.before;
    __syncwarp();
    if (expert >= 0) {
      if (rank.last) *first = row + 1;
      args.row_token[row] = pair / args.active;
      args.row_weight[row] = weight[step];
    }
    if (pair < c.end) args.token_row[pair] = row;
    __syncwarp();
  }
}

// Exclusive sum over all counters, in place, by one block; writes offsets on the way.
__device__ void sum_counts(const Args& args, const Plan& plan, std::int32_t* counts) {
  __shared__ std::int32_t of_warp[kWarpsPerBlock];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  std::int32_t before = 0;  // of the counters of earlier steps
  for (int step = 0; step < plan.counts; step += kThreads) {
    const int i = step + static_cast<int>(threadIdx.x);
    const std::int32_t own = i < plan.counts ? counts[i] : 0;
    std::int32_t sum = own;
#pragma unroll
    for (int offset = 1; offset < kWarp; offset *= 2) {
      const std::int32_t other = __shfl_up_sync(~0u, sum, offset);
      if (lane >= offset) sum += other;
    }
    if (lane == kWarp - 1) of_warp[warp] = sum;
    __syncthreads();
    std::int32_t warps = of_warp[lane];
#pragma unroll
    for (int offset = 1; offset < kWarp; offset *= 2) {
      const std::int32_t other = __shfl_up_sync(~0u, warps, offset);
      if (lane >= offset) warps += other;
    }
    const std::int32_t of_earlier_warps = __shfl_sync(~0u, warps, warp == 0 ? 0 : warp - 1);
    const std::int32_t first = before + (warp == 0 ? 0 : of_earlier_warps) + sum - own;
    if (i < plan.counts) {
      counts[i] = first;
      if (i % plan.chunks == 0) args.offsets[i / plan.chunks] = first;
    }
    before += __shfl_sync(~0u, warps, kWarp - 1);
    __syncthreads();
  }
  if (threadIdx.x == 0) args.offsets[args.local_experts] = before;
}

__global__ void __launch_bounds__(kThreads, 1) sort_in_one_block(Args args, Plan plan) {
  extern __shared__ std::int32_t counts[];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const Chunk chunk = read_chunk(args, plan, warp);
  for (int i = static_cast<int>(threadIdx.x); i < plan.counts; i += kThreads) counts[i] = 0;
  __syncthreads();
  if (warp < plan.chunks) count_chunk(chunk, counts + warp, plan.chunks);
  __syncthreads();
  sum_counts(args, plan, counts);
  __syncthreads();
  if (warp < plan.chunks) place_chunk(args, chunk, counts + warp, plan.chunks);
}

// Of many chunks, each warp has one; its counters are in shared memory while it works.
constexpr int kWarpsOfMany = 4;

struct Own {
  int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  int chunk = static_cast<int>(blockIdx.x) * kWarpsOfMany + warp;
};

__global__ void __launch_bounds__(kWarp* kWarpsOfMany)
    count_chunks(Args args, Plan plan, std::int32_t* counts) {
  extern __shared__ std::int32_t shared[];
  const Own own;
  if (own.chunk >= plan.chunks) return;
  std::int32_t* mine = shared + own.warp * args.local_experts;
  const Chunk chunk = read_chunk(args, plan, own.chunk);
  for (int e = own.lane; e < args.local_experts; e += kWarp) mine[e] = 0;
  __syncwarp();
  count_chunk(chunk, mine, 1);
  for (int e = own.lane; e < args.local_experts; e += kWarp) {
    counts[e * plan.chunks + own.chunk] = mine[e];
  }
}

__global__ void __launch_bounds__(kThreads) sum_chunks(Args args, Plan plan, std::int32_t* counts) {
  sum_counts(args, plan, counts);
}

__global__ void __launch_bounds__(kWarp* kWarpsOfMany)
    place_chunks(Args args, Plan plan, const std::int32_t* firsts) {
  extern __shared__ std::int32_t shared[];
  const Own own;
  if (own.chunk >= plan.chunks) return;
  std::int32_t* mine = shared + own.warp * args.local_experts;
  const Chunk chunk = read_chunk(args, plan, own.chunk);
  for (int e = own.lane; e < args.local_experts; e += kWarp) {
    mine[e] = firsts[e * plan.chunks + own.chunk];
  }
  __syncwarp();
  place_chunk(args, chunk, mine, 1);
}

// Without tokens there are no counters: the offsets are all zero.
__global__ void no_rows(Args args) {
  for (int e = static_cast<int>(threadIdx.x); e <= args.local_experts; e += kThreads) {
    args.offsets[e] = 0;
  }
}

void launch(const Args& args, void* workspace, Stream stream) {
  const Plan plan = plan_of(args);
  if (plan.pairs == 0) {
    no_rows<<<1, kThreads, 0, stream>>>(args);
    V4CAP_LAUNCHED("expert_permute");
    return;
  }
  if (plan.one_block) {
    const auto bytes = plan.counts * static_cast<int>(sizeof(std::int32_t));
    if (bytes > 48 * 1024 - 512) {
      V4CAP_CUDA(cudaFuncSetAttribute(sort_in_one_block,
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    }
    sort_in_one_block<<<1, kThreads, static_cast<std::size_t>(bytes), stream>>>(args, plan);
    V4CAP_LAUNCHED("expert_permute");
    return;
  }
  auto* counts = static_cast<std::int32_t*>(workspace);
  const auto blocks = static_cast<unsigned>((plan.chunks + kWarpsOfMany - 1) / kWarpsOfMany);
  const std::size_t bytes = sizeof(std::int32_t) * static_cast<std::size_t>(kWarpsOfMany) *
                            static_cast<std::size_t>(args.local_experts);
  count_chunks<<<blocks, kWarp * kWarpsOfMany, bytes, stream>>>(args, plan, counts);
  V4CAP_LAUNCHED("expert_permute, count");
  sum_chunks<<<1, kThreads, 0, stream>>>(args, plan, counts);
  V4CAP_LAUNCHED("expert_permute, sum");
  place_chunks<<<blocks, kWarp * kWarpsOfMany, bytes, stream>>>(args, plan, counts);
  V4CAP_LAUNCHED("expert_permute, place");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "stable counting sort, a warp walks a chunk in order",
                               .refuses = refuses,
                               .workspace_bytes = workspace_bytes,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::expert_permute
