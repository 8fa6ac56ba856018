// Index of each row's largest logit, in two stages of one launch: the blocks of a cluster take a
// part of a row each, and the first block compares their results through shared memory.
// Traffic : 4 B a logit, read once: bound by memory; a vocabulary is 0.5 MB a row.
// Shape   : 8 blocks a row, so that one row alone is read by 8 multiprocessors; 16-byte loads where
//           the rows are aligned. Largest value first, smallest index among equals: the same result
//           in whatever order candidates meet. A NaN is never the largest.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <utility>

#include "kernels/argmax/argmax.h"
#include "kernels/cuda/check.h"
#include "kernels/registry.h"

namespace v4cap::kernels::argmax {
namespace {

namespace cg = cooperative_groups;

constexpr int kThreads = 512;
constexpr int kBlocksPerRow = 8;

struct Candidate {
  float value;
  std::int32_t index;
};

__device__ Candidate better(Candidate a, Candidate b) {
  return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ Candidate best_of_warp(Candidate mine) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    mine = better(
        mine, {__shfl_xor_sync(~0u, mine.value, offset), __shfl_xor_sync(~0u, mine.index, offset)});
  }
  return mine;
}

__global__ void __cluster_dims__(kBlocksPerRow) __launch_bounds__(kThreads) argmax(Args args) {
  __shared__ Candidate of_warps[kThreads / 32];
  __shared__ Candidate of_blocks[kBlocksPerRow];
  cg::cluster_group cluster = cg::this_cluster();
  // The first block's shared memory may be written once that block runs.
  auto started = cluster.barrier_arrive();
  const auto part = static_cast<int>(cluster.block_rank());
  const std::int64_t row = blockIdx.x / kBlocksPerRow;
  const float* logits = args.logits + row * args.stride;
  Candidate mine{__int_as_float(static_cast<int>(0xff800000u)), 0};
  const int first = part * kThreads + static_cast<int>(threadIdx.x);
  constexpr int kStep = kBlocksPerRow * kThreads;
  const bool aligned = reinterpret_cast<std::uintptr_t>(logits) % 16 == 0;
  const int vectors = aligned ? args.width / 4 : 0;
#pragma unroll 4
  for (int i = first; i < vectors; i += kStep) {
    const float4 four = reinterpret_cast<const float4*>(logits)[i];
    mine = better(mine, {four.x, 4 * i});
    mine = better(mine, {four.y, 4 * i + 1});
    mine = better(mine, {four.z, 4 * i + 2});
    mine = better(mine, {four.w, 4 * i + 3});
  }
  for (int i = 4 * vectors + first; i < args.width; i += kStep) {
    mine = better(mine, {logits[i], i});
  }
  mine = best_of_warp(mine);
  cluster.barrier_wait(std::move(started));
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x < 32) {
    mine = best_of_warp(of_warps[threadIdx.x % (kThreads / 32)]);
    if (threadIdx.x == 0) *cluster.map_shared_rank(&of_blocks[part], 0) = mine;
  }
  cluster.sync();
  if (part == 0 && threadIdx.x == 0) {
    for (const Candidate& other : of_blocks) mine = better(mine, other);
    args.index[row] = mine.index;
  }
}

void launch(const Args& args, void*, Stream stream) {
  if (args.rows == 0) return;
  argmax<<<static_cast<unsigned>(args.rows) * kBlocksPerRow, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("argmax");
}

const Register<Args> kVersion{
    {.name = "portable", .idea = "a cluster of 8 blocks a row", .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::argmax
