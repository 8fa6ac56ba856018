// y = x W^T by mma.sync, for FP8 with block scales and for BF16.
// Shape   : a block makes a tile of y, 64 x 128, for BF16 up to 128 x 128, in decode 16 x 64; K
//           advances by 128 bytes, which are the 128 channels of one FP8 scale, through a ring of
//           shared-memory stages filled by cp.async. 16-byte chunks lie at chunk ^ (row % 8), so
//           that ldmatrix and the copies meet no bank conflicts.
// Scales  : FP8 products of 128 channels are summed by the tensor cores, then times x's and W's
//           scale added in float: also what keeps the tensor cores' short sums from losing digits.
// Bound   : arithmetic from a few hundred rows on, W's bytes below.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/linear/launch.h"
#include "kernels/linear/linear.h"
#include "kernels/registry.h"

namespace v4cap::kernels::linear {
namespace {

using hopper::cp_async_16_or_zero;
using hopper::shared_address;

constexpr int kBlockBytes = 128;  // of K, a stage

struct Fp8 {
  using Args = Fp8Args;
  using Code = std::uint8_t;
  static constexpr bool kScaled = true;
  static __device__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

struct Bf {
  using Args = Bf16Args;
  using Code = Bf16;
  static constexpr bool kScaled = false;
  static __device__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// Operands of one launch in bytes, the same for both formats.
struct Problem {
  int rows, out, blocks;  // blocks of 128 bytes of K
  const std::uint8_t* x;
  std::int64_t x_stride;  // bytes
  const std::uint8_t* w;  // a group after the other
  const float* x_scales;
  std::int64_t x_scale_stride;
  const float* w_scales;
  void* y;
  std::int64_t y_stride;
  bool bf16;
};

// Four 8x8 matrices of 2-byte elements: lane i gives the address of one row of matrix i / 8.
__device__ inline void load_matrices(std::uint32_t (&r)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

template <class Format, int kRows, int kOut, int kWarpsDown, int kWarpsAcross, int kStages>
__global__ void __launch_bounds__(kWarpsDown* kWarpsAcross * 32) product(Problem p) {
  constexpr int kThreads = kWarpsDown * kWarpsAcross * 32;
  constexpr int kTilesDown = kRows / kWarpsDown / 16;     // of 16 rows of x, a warp
  constexpr int kTilesAcross = kOut / kWarpsAcross / 16;  // of 16 rows of W, a warp
  constexpr int kStageBytes = (kRows + kOut) * kBlockBytes;
  // sm_90 has no FP8 mma.sync: unpacking to half takes registers that more steps at once would
  // spill.
  constexpr int kUnrolled = Format::kScaled ? 1 : 4;
  extern __shared__ __align__(1024) std::uint8_t stages[];

  const int group = static_cast<int>(blockIdx.z);
  const int first_row = static_cast<int>(blockIdx.y) * kRows;
  const int first_out = static_cast<int>(blockIdx.x) * kOut;
  const std::int64_t w_stride = static_cast<std::int64_t>(p.blocks) * kBlockBytes;
  const std::uint8_t* x = p.x + group * w_stride;
  const std::uint8_t* w = p.w + group * w_stride * p.out;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32, warp = thread / 32;
  const int warp_row = warp / kWarpsAcross * (kTilesDown * 16);
  const int warp_out = warp % kWarpsAcross * (kTilesAcross * 16);

  const auto fill = [&](int block) {
    const std::uint32_t stage = shared_address(stages) + block % kStages * kStageBytes;
    for (int i = thread; i < (kRows + kOut) * 8; i += kThreads) {
      const int row = i / 8, chunk = i % 8;
      const bool of_x = row < kRows;
      const int from_row = of_x ? first_row + row : first_out + row - kRows;
      const std::uint8_t* from = (of_x ? x + from_row * p.x_stride : w + from_row * w_stride) +
                                 static_cast<std::int64_t>(block) * kBlockBytes + chunk * 16;
      cp_async_16_or_zero(stage + row * kBlockBytes + ((chunk ^ (row % 8)) * 16), from,
                          from_row < (of_x ? p.rows : p.out));
    }
  };

  float sums[kTilesDown][2 * kTilesAcross][4] = {};
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < p.blocks) fill(s);
    hopper::cp_async_commit();
  }
  for (int block = 0; block < p.blocks; ++block) {
    hopper::cp_async_wait<kStages - 2>();
    __syncthreads();
    if (block + kStages - 1 < p.blocks) fill(block + kStages - 1);
    hopper::cp_async_commit();

    const std::uint32_t stage = shared_address(stages) + block % kStages * kStageBytes;
    float partial[kTilesDown][2 * kTilesAcross][4] = {};
#pragma unroll kUnrolled
    for (int step = 0; step < 4; ++step) {  // of 32 bytes
      std::uint32_t a[kTilesDown][4], b[kTilesAcross][4];
      // Lanes 0-15: rows 0-15 of the tile at the step's first 16 bytes, lanes 16-31: at its last.
#pragma unroll
      for (int i = 0; i < kTilesDown; ++i) {
        const int row = warp_row + i * 16 + lane % 16;
        load_matrices(a[i],
                      stage + row * kBlockBytes + (((2 * step + lane / 16) ^ (row % 8)) * 16));
      }
      // Lanes 0-7, 8-15: rows 0-7 at the first and last 16 bytes, lanes 16-31: rows 8-15.
#pragma unroll
      for (int j = 0; j < kTilesAcross; ++j) {
        const int row = kRows + warp_out + j * 16 + lane % 8 + lane / 16 * 8;
        load_matrices(b[j],
                      stage + row * kBlockBytes + (((2 * step + lane / 8 % 2) ^ (row % 8)) * 16));
      }
#pragma unroll
      for (int i = 0; i < kTilesDown; ++i) {
#pragma unroll
        for (int j = 0; j < 2 * kTilesAcross; ++j) {
          float(&d)[4] = Format::kScaled ? partial[i][j] : sums[i][j];
          Format::mma(d, a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
    if constexpr (Format::kScaled) {
      const float w_scale = p.w_scales[(group * (p.out / 128) + (first_out + warp_out) / 128) *
                                           static_cast<std::int64_t>(p.blocks) +
                                       block];
      const float* x_scales =
          p.x_scales + (static_cast<std::int64_t>(group) * p.blocks + block) * p.x_scale_stride;
#pragma unroll
      for (int i = 0; i < kTilesDown; ++i) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = first_row + warp_row + i * 16 + half * 8 + lane / 4;
          const float scale = row < p.rows ? x_scales[row] * w_scale : 0.0f;
#pragma unroll
          for (int j = 0; j < 2 * kTilesAcross; ++j) {
            sums[i][j][2 * half] += partial[i][j][2 * half] * scale;
            sums[i][j][2 * half + 1] += partial[i][j][2 * half + 1] * scale;
          }
        }
      }
    }
  }

#pragma unroll
  for (int i = 0; i < kTilesDown; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first_row + warp_row + i * 16 + half * 8 + lane / 4;
      if (row >= p.rows) continue;
#pragma unroll
      for (int j = 0; j < 2 * kTilesAcross; ++j) {
        const int out = first_out + warp_out + j * 8 + lane % 4 * 2;
        if (out >= p.out) continue;
        const std::int64_t at = row * p.y_stride + static_cast<std::int64_t>(group) * p.out + out;
        const float2 two = {sums[i][j][2 * half], sums[i][j][2 * half + 1]};
        if (p.bf16) {
          *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(p.y) + at) =
              __float22bfloat162_rn(two);
        } else {
          *reinterpret_cast<float2*>(static_cast<float*>(p.y) + at) = two;
        }
      }
    }
  }
}

template <class Format, int kRows, int kOut, int kWarpsDown, int kWarpsAcross, int kStages>
void launch_tile(const Problem& p, int groups, cudaStream_t stream) {
  const auto kernel = product<Format, kRows, kOut, kWarpsDown, kWarpsAcross, kStages>;
  constexpr int kBytes = kStages * (kRows + kOut) * kBlockBytes;
  static const cudaError_t raised =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  V4CAP_CUDA(raised);
  const dim3 grid(static_cast<unsigned>((p.out + kOut - 1) / kOut),
                  static_cast<unsigned>((p.rows + kRows - 1) / kRows),
                  static_cast<unsigned>(groups));
  kernel<<<grid, kWarpsDown * kWarpsAcross * 32, kBytes, stream>>>(p);
  V4CAP_LAUNCHED("linear");
}

template <class Format>
void launch_problem(const Problem& p, int groups, Stream stream) {
  if (p.rows == 0 || groups == 0) return;
  if (p.rows <= 16) {
    launch_tile<Format, 16, 64, 1, 4, 8>(p, groups, stream);
  } else if (Format::kScaled || p.rows <= 512) {  // two sums of a larger tile would spill
    launch_tile<Format, 64, 128, 2, 4, 4>(p, groups, stream);
  } else if constexpr (!Format::kScaled) {
    launch_tile<Format, 128, 128, 2, 4, 4>(p, groups, stream);
  }
}

void launch_fp8(const Fp8Args& args, void*, Stream stream) {
  launch_problem<Fp8>({.rows = args.rows,
                       .out = args.out,
                       .blocks = args.in / 128,
                       .x = args.x.codes,
                       .x_stride = static_cast<std::int64_t>(args.groups) * args.in,
                       .w = args.w.codes,
                       .x_scales = args.x.scales,
                       .x_scale_stride = args.x.scale_stride,
                       .w_scales = args.w.scales,
                       .y = args.y,
                       .y_stride = args.y_stride,
                       .bf16 = args.output == Output::bf16},
                      args.groups, stream);
}

void launch_bf16(const Bf16Args& args, void*, Stream stream) {
  launch_problem<Bf>({.rows = args.rows,
                      .out = args.out,
                      .blocks = args.in / 64,
                      .x = reinterpret_cast<const std::uint8_t*>(args.x),
                      .x_stride = 2 * args.x_stride,
                      .w = reinterpret_cast<const std::uint8_t*>(args.w),
                      .x_scales = nullptr,
                      .x_scale_stride = 0,
                      .w_scales = nullptr,
                      .y = args.y,
                      .y_stride = args.y_stride,
                      .bf16 = args.output == Output::bf16},
                     1, stream);
}

const Register<Fp8Args> kFp8Version{{.name = "portable",
                                     .idea = "mma.sync e4m3, cp.async ring, scales every 128",
                                     .refuses = refuses_operands,
                                     .launch = launch_fp8}};
const Register<Bf16Args> kBf16Version{{.name = "portable",
                                       .idea = "mma.sync bf16, cp.async ring",
                                       .refuses = refuses_operands,
                                       .launch = launch_bf16}};

}  // namespace
}  // namespace v4cap::kernels::linear
