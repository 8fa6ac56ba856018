// FP8 y = x W^T with block scales for many rows, by wgmma from shared memory.
// Shapes  : from about a hundred rows to prefill chunks of thousands; any number of rows, groups
//           side by side in one launch.
// Bound   : the tensor cores' FP8 rate: 128 x 128 x 128 takes 512 cycles of an SM.
// Idea    : a persistent CTA an SM makes tiles of 128 x 128. One thread fills a ring of stages with
//           tensor copies; two warpgroups of 64 rows each multiply, then scale and add the product
//           of 128 channels in float while the other one multiplies. Pairs of CTAs that need the
//           same part of W copy half of it each, for both. Finished tiles leave by tensor stores,
//           behind the next tile's products.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/tensor_map.h"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"
#include "kernels/registry.h"

namespace v4cap::kernels::linear {
namespace {

constexpr int kTile = 128;  // rows of x, rows of W, and channels of a stage
constexpr int kHalf = 64;   // rows of a warpgroup; rows of W that one of a pair copies
constexpr int kStages = 5;
constexpr int kMathWarps = 8;
constexpr int kThreads = kMathWarps * 32 + 64;

struct Shared {
  std::uint8_t x[kStages][kTile * kTile];
  std::uint8_t w[kStages][kTile * kTile];
  std::uint8_t y[kMathWarps][2][16 * 128];  // of a warp: 16 rows of two times 64 bf16
  float scales[kStages][kTile];             // of x's rows, times W's
  std::uint64_t full[kStages], empty[kStages];
};

struct Problem {
  int rows, blocks, out;  // out: of one group
  TileOrder order;        // down: clusters
  const float* x_scales;
  std::int64_t x_scale_stride;
  const float* w_scales;
  void* y;
  std::int64_t y_stride;
  bool bf16;
};

__device__ inline void store_matrices(std::uint32_t address, const std::uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}

__device__ inline std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&two);
}

template <int kCluster>
__global__ void __launch_bounds__(kThreads, 1)
    gemm(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map,
         const __grid_constant__ CUtensorMap y_map, const Problem p) {
  extern __shared__ __align__(1024) std::uint8_t raw[];
  Shared& shared = *reinterpret_cast<Shared*>(raw);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32, lane = thread % 32;
  const int rank = kCluster > 1 ? hopper::cluster_rank() : 0;
  const int first_item = static_cast<int>(blockIdx.x) / kCluster;
  const int item_step = static_cast<int>(gridDim.x) / kCluster;
  const int items = p.order.count();

  if (thread == kMathWarps * 32) {
    hopper::prefetch_tensor_map(&w_map);
    hopper::prefetch_tensor_map(&x_map);
    for (int s = 0; s < kStages; ++s) {
      hopper::barrier_init(&shared.full[s], 2);
      hopper::barrier_init(&shared.empty[s], kMathWarps * kCluster);
    }
    hopper::barrier_init_fence();
  }
  if constexpr (kCluster > 1) {
    hopper::cluster_sync();
  } else {
    __syncthreads();
  }

  hopper::RingPosition<kStages> ring;
  if (warp == kMathWarps) {
    if (lane == 0) {  // copies
      for (int item = first_item; item < items; item += item_step) {
        const TileOrder::Place place = p.order.at(item);
        const int row = (place.down * kCluster + rank) * kTile;
        const int out = place.group * p.out + place.across * kTile;
        for (int block = 0; block < p.blocks; ++block) {
          hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
          std::uint64_t* full = &shared.full[ring.stage];
          const int x_block = place.group * p.blocks + block;
          hopper::barrier_expect(full, 2 * kTile * kTile);
          hopper::tensor_copy_2d(shared.x[ring.stage], &x_map, x_block * kTile, row, full);
          if constexpr (kCluster > 1) {
            hopper::tensor_copy_2d_multicast(&shared.w[ring.stage][rank * kHalf * kTile], &w_map,
                                             block * kTile, out + rank * kHalf, full, 3);
          } else {
            hopper::tensor_copy_2d(shared.w[ring.stage], &w_map, block * kTile, out, full);
            hopper::tensor_copy_2d(&shared.w[ring.stage][kHalf * kTile], &w_map, block * kTile,
                                   out + kHalf, full);
          }
          ring.advance();
        }
      }
    }
  } else if (warp == kMathWarps + 1) {  // scales
    // By way of registers, several blocks at a time and before their stages are free. What rows
    // beyond x's are multiplied with is not stored.
    constexpr int kAtOnce = 4;
    for (int item = first_item; item < items; item += item_step) {
      const TileOrder::Place place = p.order.at(item);
      const int row = (place.down * kCluster + rank) * kTile + 4 * lane;
      const float* x_scales =
          p.x_scales + static_cast<std::int64_t>(place.group) * p.blocks * p.x_scale_stride + row;
      const float* w_scales =
          p.w_scales +
          static_cast<std::int64_t>((place.group * p.out) / kTile + place.across) * p.blocks;
      for (int first = 0; first < p.blocks; first += kAtOnce) {
        float4 x_scale[kAtOnce];
        float w_scale[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          const bool wanted = first + i < p.blocks;
          x_scale[i] =
              wanted && row < p.x_scale_stride
                  ? *reinterpret_cast<const float4*>(x_scales + (first + i) * p.x_scale_stride)
                  : float4{};
          w_scale[i] = wanted ? w_scales[first + i] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          if (first + i >= p.blocks) break;
          hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
          const float4 x = x_scale[i];
          const float w = w_scale[i];
          *reinterpret_cast<float4*>(&shared.scales[ring.stage][4 * lane]) = {x.x * w, x.y * w,
                                                                              x.z * w, x.w * w};
          __syncwarp();
          if (lane == 0) hopper::barrier_arrive(&shared.full[ring.stage]);
          ring.advance();
        }
      }
    }
  } else {
    const int warpgroup = warp / 4;
    const int row_of_tile = warp * 16 + lane / 4;
    float sums[kTile / 2], partial[kTile / 2] = {};
    for (int item = first_item; item < items; item += item_step) {
      const TileOrder::Place place = p.order.at(item);
#pragma unroll
      for (float& s : sums) s = 0;
      for (int block = 0; block < p.blocks; ++block) {
        hopper::barrier_wait(&shared.full[ring.stage], ring.parity);
        const std::uint64_t x = hopper::describe_k_major(
            hopper::shared_address(&shared.x[ring.stage][warpgroup * kHalf * kTile]));
        const std::uint64_t w =
            hopper::describe_k_major(hopper::shared_address(shared.w[ring.stage]));
        const float upper = shared.scales[ring.stage][row_of_tile];
        const float lower = shared.scales[ring.stage][row_of_tile + 8];
        hopper::pin(partial);
        hopper::wgmma_fence();
#pragma unroll
        for (int step = 0; step < 4; ++step) {  // 32 channels each
          hopper::wgmma_e4m3<kTile>(partial, x + 2 * step, w + 2 * step, step > 0);
        }
        hopper::wgmma_commit();
        hopper::wgmma_wait<0>();
        hopper::pin(partial);
        __syncwarp();
        if (lane < kCluster) {
          if constexpr (kCluster > 1) {
            hopper::barrier_arrive_remote_after_reads(&shared.empty[ring.stage], lane);
          } else {
            hopper::barrier_arrive(&shared.empty[ring.stage]);
          }
        }
        ring.advance();
#pragma unroll
        for (int e = 0; e < kTile / 2; ++e) {
          sums[e] += partial[e] * (e / 2 % 2 == 0 ? upper : lower);
        }
      }
      const int first_row = (place.down * kCluster + rank) * kTile + warp * 16;
      const int column = place.group * p.out + place.across * kTile;
      if (p.bf16) {
        if (lane == 0) hopper::bulk_store_wait_read<0>();
        __syncwarp();
#pragma unroll
        for (int j = 0; j < kTile / 8; j += 2) {  // 16 columns of 16 rows
          const std::uint32_t matrices[4] = {
              pack(sums[4 * j], sums[4 * j + 1]), pack(sums[4 * j + 2], sums[4 * j + 3]),
              pack(sums[4 * j + 4], sums[4 * j + 5]), pack(sums[4 * j + 6], sums[4 * j + 7])};
          const int row = lane % 16, chunk = j + lane / 16;
          store_matrices(hopper::shared_address(shared.y[warp][chunk / 8]) + row * 128 +
                             ((chunk % 8) ^ (row % 8)) * 16,
                         matrices);
        }
        hopper::fence_async_shared();
        __syncwarp();
        if (lane == 0) {
          hopper::tensor_store_2d(&y_map, column, first_row, shared.y[warp][0]);
          hopper::tensor_store_2d(&y_map, column + 64, first_row, shared.y[warp][1]);
          hopper::bulk_store_commit();
        }
      } else {
#pragma unroll
        for (int e = 0; e < kTile / 2; e += 2) {
          const int row = first_row + lane / 4 + e / 2 % 2 * 8;
          if (row >= p.rows) continue;
          float* to =
              static_cast<float*>(p.y) + row * p.y_stride + column + e / 4 * 8 + lane % 4 * 2;
          *reinterpret_cast<float2*>(to) = {sums[e], sums[e + 1]};
        }
      }
    }
    if (lane == 0) hopper::bulk_store_wait_read<0>();
  }
  // Neither of a pair leaves while the other one may still write into it.
  if constexpr (kCluster > 1) {
    __syncwarp();
    hopper::cluster_sync();
  }
}

template <int kCluster>
void launch_cluster(const Fp8Args& args, cudaStream_t stream) {
  static const cudaError_t raised =
      cudaFuncSetAttribute(gemm<kCluster>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(sizeof(Shared)));
  V4CAP_CUDA(raised);
  static const int multiprocessors = [] {
    int device = 0, found = 0;
    V4CAP_CUDA(cudaGetDevice(&device));
    V4CAP_CUDA(cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device));
    return found;
  }();
  const std::int64_t in = static_cast<std::int64_t>(args.groups) * args.in;
  const std::int64_t out = static_cast<std::int64_t>(args.groups) * args.out;
  const CUtensorMap x_map =
      tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, args.x.codes, args.rows, in, in, kTile, kTile);
  const CUtensorMap w_map =
      tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, args.w.codes, out, args.in, args.in, kHalf, kTile);
  const bool bf16 = args.output == Output::bf16;
  const CUtensorMap y_map = bf16 ? tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, args.y, args.rows,
                                              out, 2 * args.y_stride, 16, 64)
                                 : CUtensorMap{};
  const Problem p{.rows = args.rows,
                  .blocks = args.in / kTile,
                  .out = args.out,
                  .order = {.down = (args.rows + kCluster * kTile - 1) / (kCluster * kTile),
                            .across = args.out / kTile,
                            .groups = args.groups},
                  .x_scales = args.x.scales,
                  .x_scale_stride = args.x.scale_stride,
                  .w_scales = args.w.scales,
                  .y = args.y,
                  .y_stride = args.y_stride,
                  .bf16 = bf16};
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  const int clusters = std::min(p.order.count(), multiprocessors / kCluster);
  config.gridDim = dim3(static_cast<unsigned>(clusters * kCluster));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = sizeof(Shared);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, gemm<kCluster>, x_map, w_map, y_map, p));
}

void launch(const Fp8Args& args, void*, Stream stream) {
  if (args.rows == 0 || args.groups == 0) return;
  if (args.rows <= kTile) {
    launch_cluster<1>(args, stream);
  } else {
    launch_cluster<2>(args, stream);
  }
}
const Register<Fp8Args> kVersion{{.name = "sm90a_gemm",
                                  .target = Target::sm90a,
                                  .preference = 10,
                                  .idea = "wgmma tiles of 128 x 128, W shared by pairs of CTAs",
                                  .refuses = refuses_gemm,
                                  .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::linear
