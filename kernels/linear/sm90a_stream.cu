// y = x W^T for few rows: W is streamed through shared memory once, and nothing waits for anything
// but W. For FP8 with block scales and for BF16.
// Shapes  : up to 64 rows; every projection in decode.
// Traffic : W once from memory; x again for every tile of W, from L2. Bound by W's bytes.
// Idea    : one persistent CTA an SM. One thread copies W (a tile of 64 or 128 rows by 128 bytes of
//           K) into a ring of stages with tensor copies, about 180 KB ahead, across tile
//           boundaries; x's matching block and the scales follow. Warpgroups multiply with W as the
//           64-row operand and x's rows as the 8 to 64 columns. FP8 products of 128 channels are
//           scaled and added in float.
// Balance : all CTAs take equally many units of 128 bytes of K (launch.h). The partial sums of a
//           tile that several CTAs share meet in the shared memory of a cluster, or in the
//           workspace, where the last CTA to come adds them up; always in the order of the CTAs.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/tensor_map.h"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"
#include "kernels/registry.h"

namespace v4cap::kernels::linear {
namespace {

constexpr int kBlockBytes = 128;  // of K, a stage

struct Fp8 {
  using Args = Fp8Args;
  static constexpr bool kScaled = true;
  static constexpr int kBlockChannels = 128;
  static constexpr CUtensorMapDataType kType = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  template <int kN>
  static __device__ void multiply(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b,
                                  int accumulate) {
    hopper::wgmma_e4m3<kN>(d, a, b, accumulate);
  }
};

struct Bf {
  using Args = Bf16Args;
  static constexpr bool kScaled = false;
  static constexpr int kBlockChannels = 64;
  static constexpr CUtensorMapDataType kType = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  template <int kN>
  static __device__ void multiply(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b,
                                  int accumulate) {
    hopper::wgmma_bf16<kN>(d, a, b, accumulate);
  }
};

struct Problem {
  int rows;
  int outs, out_of_group;  // rows of W: all, of one group
  StreamDivision division;
  const float* x_scales;
  std::int64_t x_scale_stride;
  const float* w_scales;
  void* y;
  std::int64_t y_stride;
  bool bf16;
  int cluster;      // CTAs of every tile in a cluster; 0: sums go through the workspace
  float* partials;  // [CTA, 2, tile]
  int arrivals;     // which of shared_arrivals counts for this launch
};

// How many CTAs have come to a tile that they share, by the first of them. The last one brings it
// back to nobody. Launches that may run at the same time have different workspaces, and each
// workspace has counts of its own.
constexpr int kWorkspaces = 256;
__device__ unsigned shared_arrivals[kWorkspaces][kStreamMaxCtas];

// The counts of a workspace. Beyond kWorkspaces of them, the one that came first gives way.
int arrivals_of(const void* workspace) {
  static std::mutex mutex;
  static std::vector<const void*> known;
  static std::size_t oldest = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = std::find(known.begin(), known.end(), workspace);
  if (found != known.end()) return static_cast<int>(found - known.begin());
  if (known.size() < kWorkspaces) {
    known.push_back(workspace);
    return static_cast<int>(known.size()) - 1;
  }
  const std::size_t place = oldest++ % kWorkspaces;
  known[place] = workspace;
  return static_cast<int>(place);
}

// Stages that fit beside each other in an SM's shared memory.
template <int kN, int kWarpgroups>
constexpr int kStagesFor = 200 * 1024 / ((64 * kWarpgroups + kN) * kBlockBytes + 4 * kN + 32);

template <int kN, int kWarpgroups>
struct Shared {
  static constexpr int kStages = kStagesFor<kN, kWarpgroups>;
  std::uint8_t w[kStages][64 * kWarpgroups * kBlockBytes];
  std::uint8_t x[kStages][kN * kBlockBytes];
  float scales[kStages][kN];  // of x's rows, times W's
  std::uint64_t full[kStages], empty[kStages];
  int last;
};

template <class Format, int kN, int kWarpgroups>
__global__ void __launch_bounds__(kWarpgroups * 128 + 64, 1)
    stream(const __grid_constant__ CUtensorMap w_map, const __grid_constant__ CUtensorMap x_map,
           const Problem p) {
  using Memory = Shared<kN, kWarpgroups>;
  constexpr int kTile = 64 * kWarpgroups;
  constexpr int kMathThreads = 128 * kWarpgroups;
  extern __shared__ __align__(1024) std::uint8_t raw[];
  Memory& shared = *reinterpret_cast<Memory*>(raw);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32, lane = thread % 32;
  const int blocks = p.division.blocks;
  const int cta = static_cast<int>(blockIdx.x);
  StreamWalk walk(p.division, cta, kN > 8 ? 5 : 0);

  if (thread == 128 * kWarpgroups) {
    hopper::prefetch_tensor_map(&w_map);
    hopper::prefetch_tensor_map(&x_map);
    for (int s = 0; s < Memory::kStages; ++s) {
      hopper::barrier_init(&shared.full[s], 2);
      hopper::barrier_init(&shared.empty[s], 4 * kWarpgroups);
    }
    hopper::barrier_init_fence();
  }
  __syncthreads();

  hopper::RingPosition<Memory::kStages> ring;
  float sums[kN / 2] = {};
  const int out_of_tile = warp * 16 + lane / 4;
  const auto store = [&](int of_tile, int e, float sum) {
    const int row = e / 4 * 8 + lane % 4 * 2 + e % 2;
    const int column = of_tile * kTile + out_of_tile + e / 2 % 2 * 8;
    if (row >= p.rows || column >= p.outs) return;
    const std::int64_t at = row * p.y_stride + column;
    if (p.bf16) {
      static_cast<__nv_bfloat16*>(p.y)[at] = __float2bfloat16_rn(sum);
    } else {
      static_cast<float*>(p.y)[at] = sum;
    }
  };

  const auto x_block_of = [&](const StreamWalk& at) {
    return at.tile * kTile / p.out_of_group * blocks + at.block();
  };
  const auto copy_x = [&](int x_block, std::uint64_t* full) {
    hopper::tensor_copy_2d(shared.x[ring.stage], &x_map, x_block * Format::kBlockChannels, 0, full);
  };
  if (warp == 4 * kWarpgroups) {  // copies of W, for FP8 of x too
    for (; lane == 0 && !walk.done(); walk.advance()) {
      hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
      std::uint64_t* full = &shared.full[ring.stage];
      hopper::barrier_expect(full, sizeof shared.w[0] + (Format::kScaled ? sizeof shared.x[0] : 0));
      hopper::tensor_copy_2d(shared.w[ring.stage], &w_map, walk.block() * Format::kBlockChannels,
                             walk.tile * kTile, full);
      if constexpr (Format::kScaled) copy_x(x_block_of(walk), full);
      ring.advance();
    }
  } else if (warp == 4 * kWarpgroups + 1 && !Format::kScaled) {  // copies of x
    for (; lane == 0 && !walk.done(); walk.advance()) {
      hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
      std::uint64_t* full = &shared.full[ring.stage];
      hopper::barrier_expect(full, sizeof shared.x[0]);
      copy_x(x_block_of(walk), full);
      ring.advance();
    }
  } else if (warp == 4 * kWarpgroups + 1) {  // scales
    // By way of registers, several units at a time and before their stages are free. What columns
    // beyond x's rows are multiplied with is not stored.
    constexpr int kAtOnce = 8, kOfLane = (kN + 31) / 32;
    while (!walk.done()) {
      float x_scale[kAtOnce][kOfLane], w_scale[kAtOnce];
      int count = 0;
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (walk.done()) break;
#pragma unroll
        for (int j = 0; j < kOfLane; ++j) {
          const int row = lane + 32 * j;
          x_scale[i][j] =
              row < p.rows ? p.x_scales[x_block_of(walk) * p.x_scale_stride + row] : 0.0f;
        }
        w_scale[i] =
            p.w_scales[static_cast<std::int64_t>(walk.tile * kTile / 128) * blocks + walk.block()];
        ++count;
        walk.advance();
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (i >= count) break;
        hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
#pragma unroll
        for (int j = 0; j < kOfLane; ++j) {
          const int row = lane + 32 * j;
          if (row < kN) shared.scales[ring.stage][row] = x_scale[i][j] * w_scale[i];
        }
        __syncwarp();
        if (lane == 0) hopper::barrier_arrive(&shared.full[ring.stage]);
        ring.advance();
      }
    }
  } else {
    const int warpgroup = warp / 4;
    float partial[kN / 2] = {};
    bool anew = true;
    for (; !walk.done(); walk.advance()) {
      hopper::barrier_wait(&shared.full[ring.stage], ring.parity);
      const std::uint64_t w = hopper::describe_k_major(
          hopper::shared_address(&shared.w[ring.stage][warpgroup * 64 * kBlockBytes]));
      const std::uint64_t x =
          hopper::describe_k_major(hopper::shared_address(shared.x[ring.stage]));
      float(&into)[kN / 2] = Format::kScaled ? partial : sums;
      hopper::pin(into);
      hopper::wgmma_fence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {  // 32 bytes of K each
        Format::template multiply<kN>(into, w + 2 * step, x + 2 * step,
                                      step > 0 || (!Format::kScaled && !anew));
      }
      hopper::wgmma_commit();
      if constexpr (Format::kScaled) {
        float2 scales[kN / 8];
#pragma unroll
        for (int j = 0; j < kN / 8; ++j) {
          scales[j] =
              *reinterpret_cast<const float2*>(&shared.scales[ring.stage][8 * j + lane % 4 * 2]);
        }
        hopper::wgmma_wait<0>();
        hopper::pin(partial);
#pragma unroll
        for (int e = 0; e < kN / 2; ++e) {
          const float scale = e % 2 == 0 ? scales[e / 4].x : scales[e / 4].y;
          sums[e] = anew ? partial[e] * scale : sums[e] + partial[e] * scale;
        }
      } else {
        hopper::wgmma_wait<0>();
        hopper::pin(sums);
      }
      __syncwarp();
      if (lane == 0) hopper::barrier_arrive(&shared.empty[ring.stage]);
      ring.advance();
      anew = false;

      if (!walk.last_of_tile()) continue;
      anew = true;
      const int tile = walk.tile;
      if (walk.whole()) {
#pragma unroll
        for (int e = 0; e < kN / 2; ++e) store(tile, e, sums[e]);
      } else if (p.cluster == 0) {
        // Others have parts of this tile: at the tile's end, slot 0 of theirs, or at its start,
        // slot 1. Each thread's numbers lie a thread apart, and the same thread of the last one
        // adds them up.
        const int first = p.division.owner(tile * blocks);
        const int sharers = p.division.owner((tile + 1) * blocks - 1) - first + 1;
        const auto part = [&](int sharer, int e) {
          const int place = 2 * (first + sharer) + (sharer == 0 ? 1 : 0);
          return p.partials + static_cast<std::int64_t>(place) * (kTile * kN) + e * kMathThreads +
                 thread;
        };
#pragma unroll
        for (int e = 0; e < kN / 2; ++e) *part(cta - first, e) = sums[e];
        __threadfence();
        hopper::named_sync(1, kMathThreads);
        if (thread == 0) {
          const auto others = static_cast<unsigned>(sharers - 1);
          shared.last = atomicInc(&shared_arrivals[p.arrivals][first], others) == others;
        }
        hopper::named_sync(1, kMathThreads);
        if (shared.last != 0) {
          __threadfence();
#pragma unroll
          for (int e = 0; e < kN / 2; ++e) sums[e] = 0;
          constexpr int kAtOnce = 128 / kN;
          for (int sharer = 0; sharer < sharers; sharer += kAtOnce) {
            float parts[kAtOnce][kN / 2];
#pragma unroll
            for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
              for (int e = 0; e < kN / 2; ++e) {
                parts[i][e] = sharer + i < sharers ? __ldcg(part(sharer + i, e)) : 0.0f;
              }
            }
#pragma unroll
            for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
              for (int e = 0; e < kN / 2; ++e) sums[e] += parts[i][e];
            }
          }
#pragma unroll
          for (int e = 0; e < kN / 2; ++e) store(tile, e, sums[e]);
        }
      }
    }
  }
  if (p.cluster == 0) return;

  // The CTAs of the cluster have a part of one tile each. Each adds up some numbers of every
  // thread.
  float* const parts = reinterpret_cast<float*>(shared.w);
  const int tile = cta / p.cluster;
  if (thread < kMathThreads) {
    hopper::named_sync(1, kMathThreads);  // no warp multiplies from here any more
#pragma unroll
    for (int e = 0; e < kN / 2; ++e) parts[e * kMathThreads + thread] = sums[e];
  }
  __syncwarp();
  hopper::cluster_sync();
  if (thread < kMathThreads) {
    for (int e = hopper::cluster_rank(); e < kN / 2; e += p.cluster) {
      float sum = 0;
#pragma unroll 4
      for (int other = 0; other < p.cluster; ++other) {
        sum += hopper::load_remote(parts + e * kMathThreads + thread, other);
      }
      store(tile, e, sum);
    }
  }
  __syncwarp();
  hopper::cluster_sync_relaxed();  // nobody leaves while others read
}

int multiprocessors() {
  static const int count = [] {
    int device = 0, found = 0;
    V4CAP_CUDA(cudaGetDevice(&device));
    V4CAP_CUDA(cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device));
    return found;
  }();
  return count;
}

struct Operands {
  const void* w;
  const void* x;
  std::int64_t x_columns, x_row_bytes;
};

template <class Memory>
cudaLaunchConfig_t configure(int ctas, int cluster, int warpgroups, cudaLaunchAttribute& attribute,
                             cudaStream_t queue) {
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(ctas));
  config.blockDim = dim3(static_cast<unsigned>(128 * warpgroups + 64));
  config.dynamicSmemBytes = sizeof(Memory);
  config.stream = queue;
  config.attrs = &attribute;
  config.numAttrs = cluster > 0 ? 1 : 0;
  return config;
}

// How many clusters of this size run side by side: those of one launch should.
template <class Format, int kN, int kWarpgroups>
int clusters_at_once(int cluster) {
  using Memory = Shared<kN, kWarpgroups>;
  static const std::array<int, kStreamMaxCluster + 1> counts = [] {
    std::array<int, kStreamMaxCluster + 1> found{};
    for (int size = 2; size <= kStreamMaxCluster; ++size) {
      cudaLaunchAttribute attribute{};
      const cudaLaunchConfig_t config =
          configure<Memory>(size, size, kWarpgroups, attribute, nullptr);
      if (cudaOccupancyMaxActiveClusters(&found[static_cast<std::size_t>(size)],
                                         stream<Format, kN, kWarpgroups>, &config) != cudaSuccess) {
        cudaGetLastError();  // clusters of this size do not exist: 0 at once
        found[static_cast<std::size_t>(size)] = 0;
      }
    }
    return found;
  }();
  return counts[static_cast<std::size_t>(cluster)];
}

template <class Format, int kN, int kWarpgroups>
void launch_width(const Operands& operands, Problem p, void* workspace, cudaStream_t queue) {
  using Memory = Shared<kN, kWarpgroups>;
  const auto kernel = stream<Format, kN, kWarpgroups>;
  static const cudaError_t raised = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(sizeof(Memory)));
  V4CAP_CUDA(raised);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  V4CAP_CUDA(allowed);
  const std::int64_t in = static_cast<std::int64_t>(p.division.blocks) * Format::kBlockChannels;
  const CUtensorMap w_map = tensor_map(Format::kType, operands.w, p.outs, in,
                                       static_cast<std::int64_t>(p.division.blocks) * kBlockBytes,
                                       64 * kWarpgroups, Format::kBlockChannels);
  const CUtensorMap x_map = tensor_map(Format::kType, operands.x, p.rows, operands.x_columns,
                                       operands.x_row_bytes, kN, Format::kBlockChannels);
  p.partials = static_cast<float*>(workspace);
  p.cluster = p.division.sharers();
  if (p.cluster < 2 || clusters_at_once<Format, kN, kWarpgroups>(p.cluster) < p.division.tiles) {
    p.cluster = 0;
    p.arrivals = arrivals_of(workspace);
  }
  cudaLaunchAttribute cluster{};
  const cudaLaunchConfig_t config =
      configure<Memory>(p.division.ctas, p.cluster, kWarpgroups, cluster, queue);
  V4CAP_CUDA(cudaLaunchKernelEx(&config, kernel, w_map, x_map, p));
}

template <class Format>
void launch_problem(const Operands& operands, const Problem& p, void* workspace, Stream queue) {
  switch (stream_columns(p.rows)) {
    case 8:
      return launch_width<Format, 8, 1>(operands, p, workspace, queue);
    case 16:
      return launch_width<Format, 16, 1>(operands, p, workspace, queue);
    case 32:
      return launch_width<Format, 32, 2>(operands, p, workspace, queue);
    default:
      return launch_width<Format, 64, 2>(operands, p, workspace, queue);
  }
}

void launch_fp8(const Fp8Args& args, void* workspace, Stream queue) {
  if (args.rows == 0 || args.groups == 0) return;
  const std::int64_t columns = static_cast<std::int64_t>(args.groups) * args.in;
  const int outs = args.groups * args.out;
  launch_problem<Fp8>(
      {.w = args.w.codes, .x = args.x.codes, .x_columns = columns, .x_row_bytes = columns},
      {.rows = args.rows,
       .outs = outs,
       .out_of_group = args.out,
       .division = stream_division(args.rows, outs, args.in, multiprocessors()),
       .x_scales = args.x.scales,
       .x_scale_stride = args.x.scale_stride,
       .w_scales = args.w.scales,
       .y = args.y,
       .y_stride = args.y_stride,
       .bf16 = args.output == Output::bf16,
       .cluster = 0,
       .partials = nullptr,
       .arrivals = 0},
      workspace, queue);
}

void launch_bf16(const Bf16Args& args, void* workspace, Stream queue) {
  if (args.rows == 0) return;
  launch_problem<Bf>(
      {.w = args.w, .x = args.x, .x_columns = args.in, .x_row_bytes = 2 * args.x_stride},
      {.rows = args.rows,
       .outs = args.out,
       .out_of_group = args.out,
       .division = stream_division(args.rows, args.out, 2 * args.in, multiprocessors()),
       .x_scales = nullptr,
       .x_scale_stride = 0,
       .w_scales = nullptr,
       .y = args.y,
       .y_stride = args.y_stride,
       .bf16 = args.output == Output::bf16,
       .cluster = 0,
       .partials = nullptr,
       .arrivals = 0},
      workspace, queue);
}

const Register<Fp8Args> kFp8Version{
    {.name = "sm90a_stream",
     .target = Target::sm90a,
     .preference = 20,
     .idea = "W through a ring of tensor copies, K divided equally over the SMs",
     .refuses = [](const Fp8Args& args) { return refuses_stream(args); },
     .workspace_bytes =
         [](const Fp8Args& args) {
           return stream_workspace(args.rows, std::int64_t{args.groups} * args.out, args.in);
         },
     .launch = launch_fp8}};
const Register<Bf16Args> kBf16Version{
    {.name = "sm90a_stream",
     .target = Target::sm90a,
     .preference = 20,
     .idea = "W through a ring of tensor copies, K divided equally over the SMs",
     .refuses = [](const Bf16Args& args) { return refuses_stream(args); },
     .workspace_bytes =
         [](const Bf16Args& args) {
           return stream_workspace(args.rows, args.out, 2 * std::int64_t{args.in});
         },
     .launch = launch_bf16}};

}  // namespace
}  // namespace v4cap::kernels::linear
