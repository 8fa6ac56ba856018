// Top-k of few long rows: a cluster of up to 16 blocks holds a row in registers, so that it is read
// once and every pass over it stays on the chip.
//   1. 4096 groups of scores, strewn over the row, give their largest. The k-th largest of these, or a
//      little less, is a bound that k scores reach; few more than k groups can hold scores above it.
//   2. Every block finds that bound for itself (the groups' largest are sent to all of them), and
//      sends the scores above it to the first block: a few more than k when scores are random, at
//      most those groups' worth in any case. Scores equal to the bound only fill up what is missing.
//   3. The first block keeps the k largest. Places in its list follow from sums over blocks and
//      threads, so that an input gives the same bits on every run.
// Traffic : 4 B a score, once; bound by the latency of three cluster barriers and two selections.
// Shape   : 16 scores a thread; as many blocks as the longest row needs.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/registry.h"
#include "kernels/topk/launch.h"
#include "kernels/topk/stream.cuh"
#include "kernels/topk/topk.h"

namespace v4cap::kernels::topk {
namespace {

namespace cg = cooperative_groups;

constexpr int kThreads = kClusterThreads;
constexpr int kPerThread = kClusterPerThread;
constexpr int kCandidates = 8192;
constexpr int kStreamPerThread = 2;

struct Shared {
  StreamState<kCandidates, kClusterMostK> stream;
  alignas(16) std::uint32_t own_maxima[kClusterGroups];
  alignas(16) std::uint32_t maxima[kClusterGroups];
  int above[kClusterBlocks], ties[kClusterBlocks];
};

// Candidates of a row that shared memory cannot hold.
struct Overflow {
  float scores[kClusterOverflow];
  std::int32_t places[kClusterOverflow];
};
static_assert(sizeof(Overflow) == kClusterOverflowBytes);

template <int kBlocks>
__global__ void __launch_bounds__(kThreads, 1) select_row(Args args, Overflow* overflow) {
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const cg::cluster_group cluster = cg::this_cluster();
  const int block = kBlocks == 1 ? 0 : static_cast<int>(cluster.block_rank());
  const std::int64_t row = blockIdx.x / kBlocks;
  const int thread = static_cast<int>(threadIdx.x);
  const float* scores = args.scores + row * args.stride;
  const int length = args.lengths[row];
  const int k = args.k;
  if (length <= k) {  // for the whole cluster
    for (int i = thread; block == 0 && i < k; i += kThreads) {
      args.selected[row * k + i] = i < length ? i : -1;
    }
    return;
  }
  // No block may be written to before it has begun.
  if constexpr (kBlocks > 1) cluster.barrier_arrive();
  clear_bins<kThreads>(shared.stream.scratch);
  const int first = block * kThreads + thread;
  const auto place = [&](int i) { return i * kBlocks * kThreads + first; };
  std::uint32_t keys[kPerThread];
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    keys[i] = place(i) < length ? bits_of(__ldcs(scores + place(i))) : ~0u;
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {  // no score has key 0
    keys[i] = keys[i] == ~0u ? 0 : key_of(float_of_bits(keys[i]));
  }

  // 1. The largest of each group.
  constexpr int kGroups = kClusterGroups / kBlocks;  // of this block
  if constexpr (kGroups >= kThreads) {
    constexpr int kOwn = kGroups / kThreads;
#pragma unroll
    for (int g = 0; g < kOwn; ++g) {
      std::uint32_t largest = 0;
#pragma unroll
      for (int i = g; i < kPerThread; i += kOwn) largest = max(largest, keys[i]);
      shared.own_maxima[g * kThreads + thread] = largest;
    }
  } else {
    constexpr int kSharing = kThreads / kGroups;
    std::uint32_t largest = 0;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) largest = max(largest, keys[i]);
#pragma unroll
    for (int offset = 1; offset < kSharing; offset *= 2) {
      largest = max(largest, __shfl_xor_sync(~0u, largest, offset));
    }
    if (thread % kSharing == 0) shared.own_maxima[thread / kSharing] = largest;
  }
  __syncthreads();
  static_assert(kClusterGroups == 4 * kThreads);
  const auto part = reinterpret_cast<const uint4*>(shared.own_maxima)[thread % (kGroups / 4)];
  if constexpr (kBlocks > 1) cluster.barrier_wait();
  std::uint32_t* to =
      kBlocks == 1 ? shared.maxima : cluster.map_shared_rank(shared.maxima, thread / (kGroups / 4));
  reinterpret_cast<uint4*>(to + block * kGroups)[thread % (kGroups / 4)] = part;
  const auto synchronise = [&] {
    if constexpr (kBlocks > 1) cluster.sync();
    __syncthreads();  // within the cluster's: compute-sanitizer knows only this one
  };
  synchronise();

  // 2. The bound, and what lies above it.
  SelectScratch& scratch = shared.stream.scratch;
  const Range range = range_of<kThreads>(shared.maxima, kClusterGroups, scratch);
  const Threshold bound =
      find_threshold<kThreads>(shared.maxima, kClusterGroups, k, range, kClusterSlack, scratch);
  int above = 0, ties = 0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    above += keys[i] > bound.low ? 1 : 0;
    ties += keys[i] == bound.low ? 1 : 0;
  }
  int all_above = 0, all_ties = 0;
  prefix_sums<kThreads>(above, ties, all_above, all_ties, scratch.counts);
  if constexpr (kBlocks > 1) {
    if (thread < kBlocks) {
      cluster.map_shared_rank(shared.above, thread)[block] = all_above;
      cluster.map_shared_rank(shared.ties, thread)[block] = all_ties;
    }
    synchronise();
    const int lane = thread % 32;
    const int of_above = lane < kBlocks ? shared.above[lane] : 0;
    const int of_ties = lane < kBlocks ? shared.ties[lane] : 0;
    all_above = __reduce_add_sync(~0u, of_above);
    above += __reduce_add_sync(~0u, lane < block ? of_above : 0);
    ties += __reduce_add_sync(~0u, lane < block ? of_ties : 0);
  }
  const int filling = max(0, k - all_above);  // ties that are needed
  const int count = all_above + filling;
  const bool fits = kBlocks == 1 || count <= kCandidates;
  const auto send = [&](const auto& put) {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const bool tie = keys[i] == bound.low;
      if (keys[i] > bound.low) put(above++, keys[i], place(i));
      if (tie && ties < filling) put(all_above + ties, keys[i], place(i));
      ties += tie ? 1 : 0;
    }
  };
  if (fits) {
    auto* candidates = &shared.stream.candidates;
    if constexpr (kBlocks > 1) candidates = cluster.map_shared_rank(candidates, 0);
    send([&](int at, std::uint32_t key, int from) {
      candidates->keys[at] = key;
      candidates->places[at] = from;
    });
  } else {
    send([&](int at, std::uint32_t key, int from) {
      overflow[row].scores[at] = score_of(key);
      overflow[row].places[at] = from;
    });
  }
  synchronise();
  if (block != 0) return;

  // 3. The k largest of them.
  if (count == k) {
    for (int i = thread; i < k; i += kThreads) {
      args.selected[row * k + i] =
          fits ? shared.stream.candidates.places[i] : __ldcg(&overflow[row].places[i]);
    }
  } else if (fits) {  // more than k of them lie above the bound, and no ties are among them
    keep_largest<kThreads>(shared.stream.candidates, count, k, {bound.low + 1, range.largest},
                           scratch, args.selected + row * k);
  } else {
    stream_largest<kThreads, kStreamPerThread>(
        shared.stream, count, k, [&](int i) { return __ldcg(&overflow[row].scores[i]); },
        [&](int i) { return __ldcg(&overflow[row].places[i]); }, args.selected + row * k);
  }
}

template <int kBlocks>
void launch_blocks(const Args& args, Overflow* overflow, cudaStream_t stream) {
  V4CAP_CUDA(cudaFuncSetAttribute(select_row<kBlocks>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  V4CAP_CUDA(
      cudaFuncSetAttribute(select_row<kBlocks>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {kBlocks, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(args.rows) * kBlocks);
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = sizeof(Shared);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, select_row<kBlocks>, args, overflow));
}

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.rows == 0) return;
  auto* overflow = static_cast<Overflow*>(workspace);
  switch (cluster_blocks(args.max_length)) {
    case 1:
      return launch_blocks<1>(args, overflow, stream);
    case 2:
      return launch_blocks<2>(args, overflow, stream);
    case 4:
      return launch_blocks<4>(args, overflow, stream);
    case 8:
      return launch_blocks<8>(args, overflow, stream);
    default:
      return launch_blocks<16>(args, overflow, stream);
  }
}

const Register<Args> kVersion{{.name = "cluster",
                               .preference = 5,
                               .idea = "a row in the registers of a cluster of blocks",
                               .refuses = refuses_cluster,
                               .workspace_bytes = cluster_workspace_bytes,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::topk
