// Experts by mma.sync in half precision, weights streamed through a ring of cp.async (stream.cuh).
// Exact   : e2m1 codes moved into a half's exponent and mantissa are the value times 2^-14 (the 0.5 is
//           a subnormal of both), e4m3 numbers are halves: the products are exact, sums are floats. A
//           group of 32 channels has its own sum, which its scale (any UE8M0) then multiplies.
// Traffic : 17/32 B a weight, once for each 64 rows of an expert: bound by memory up to ~32 rows.
#include <cuda_fp16.h>

#include "kernels/experts/stream.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::experts {
namespace {

struct HalfMath {
  static constexpr int kXBytes = kTileTokens * kStageDepth;

  // A row has 128 bytes; its chunks of 16 are exchanged so that 8 rows reach all banks.
  __device__ static std::uint32_t code_slot(int warp, int g, int row, int chunk) {
    return static_cast<std::uint32_t>((warp * 16 + row * 8 + g) * 128 + ((chunk ^ g) * 16));
  }
  // A column has 256 bytes; its groups of 32 are exchanged likewise.
  __device__ static std::uint32_t x_slot(int n, int group) {
    return static_cast<std::uint32_t>(n * kStageDepth + ((group ^ (n % 4)) * 32));
  }
  __device__ static void load_x(std::uint32_t x, int n, int lane, const std::uint8_t* from) {
    if (lane < kStageDepth / 16) {
      hopper::cp_async_16(x + x_slot(n, lane / 2) + static_cast<std::uint32_t>(lane % 2 * 16),
                          from + lane * 16);
    }
  }
  __device__ static void arrived() {}

  // Eight e2m1 codes as halves times 2^-14, in pairs (0, 4), (1, 5), (2, 6), (3, 7).
  __device__ static void expand_codes(std::uint32_t codes, std::uint32_t (&pairs)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t low = codes >> (4 * i);
      pairs[i] = (low & 0x00070007u) << 9 | (low & 0x00080008u) << 12;
    }
  }
  // Eight e4m3 numbers as halves, in the same pairs.
  __device__ static void expand_x(uint2 x, std::uint32_t (&pairs)[4]) {
    const std::uint32_t two[2] = {permute_bytes(x.x, x.y, 0x5140), permute_bytes(x.x, x.y, 0x7362)};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const auto codes = static_cast<__nv_fp8x2_storage_t>(two[i / 2] >> (16 * (i % 2)));
      const __half2_raw halves = __nv_cvt_fp8x2_to_halfraw2(codes, __NV_E4M3);
      pairs[i] = static_cast<std::uint32_t>(halves.x) | static_cast<std::uint32_t>(halves.y) << 16;
    }
  }
  __device__ static void multiply(float (&d)[4], std::uint32_t a0, std::uint32_t a1,
                                  std::uint32_t a2, std::uint32_t a3, std::uint32_t b0,
                                  std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }

  template <int kN>
  __device__ static void stage(std::uint32_t slot, float (&acc)[kN / 2]) {
    const Thread t;
    constexpr int kGroups = kStageDepth / kExpertScaleBlock;
    const uint4 scales = row_scales(slot);
    const auto word = static_cast<std::uint32_t>(t.q * 4);
#pragma unroll 1
    for (int group = 0; group < kGroups; ++group) {
      std::uint32_t top[4], bottom[4];  // rows g and g + 8
      expand_codes(load_shared_4(slot + code_slot(t.warp, t.g, 0, group) + word), top);
      expand_codes(load_shared_4(slot + code_slot(t.warp, t.g, 1, group) + word), bottom);
      const int shift = group % 4 * 8;
      const bool first = group < 4;
      constexpr float kUndo = 16384.0f;
      const float row_g =
          kUndo * ue8m0_to_float(static_cast<std::uint8_t>((first ? scales.x : scales.y) >> shift));
      const float row_g8 =
          kUndo * ue8m0_to_float(static_cast<std::uint8_t>((first ? scales.z : scales.w) >> shift));
#pragma unroll
      for (int j = 0; j < kN / 8; ++j) {
        std::uint32_t x[4];
        expand_x(load_shared_8(slot + kXAt + x_slot(8 * j + t.g, group) + 2 * word), x);
        float sum[4] = {};
        multiply(sum, top[0], bottom[0], top[1], bottom[1], x[0], x[1]);
        multiply(sum, top[2], bottom[2], top[3], bottom[3], x[2], x[3]);
        const uint2 bits = load_shared_8(
            slot + kXScalesAt +
            static_cast<std::uint32_t>((first ? 0 : kTileTokens) + 8 * j + 2 * t.q) * 4);
        const float left = __uint_as_float(bits.x), right = __uint_as_float(bits.y);
        acc[4 * j + 0] = fmaf(sum[0] * left, row_g, acc[4 * j + 0]);
        acc[4 * j + 1] = fmaf(sum[1] * right, row_g, acc[4 * j + 1]);
        acc[4 * j + 2] = fmaf(sum[2] * left, row_g8, acc[4 * j + 2]);
        acc[4 * j + 3] = fmaf(sum[3] * right, row_g8, acc[4 * j + 3]);
      }
    }
  }
};

const Register<GateUpArgs> kGateUp{
    {.name = "portable",
     .idea = "weights streamed by cp.async, half-precision mma, a sum for each 32 channels",
     .refuses = refuses,
     .launch = launch_stream<HalfMath, GateUpArgs>}};
const Register<DownArgs> kDown{
    {.name = "portable",
     .idea = "weights streamed by cp.async, half-precision mma, a sum for each 32 channels",
     .refuses = refuses,
     .launch = launch_stream<HalfMath, DownArgs>}};

}  // namespace
}  // namespace v4cap::kernels::experts
