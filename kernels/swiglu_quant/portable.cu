// Clamped SwiGLU + FP8 quantiser: half a warp makes one block of 128 channels, all blocks of all
// rows in one flat grid, so that one row fills as many multiprocessors as it can.
// Traffic : 4 B in (gate and up) and 1 + 1/32 B out a channel; one exponential: bound by memory.
// Shape   : 8 channels a thread, two 16-byte loads; the largest magnitude over 16 lanes.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/registry.h"
#include "kernels/swiglu_quant/swiglu_quant.h"

namespace v4cap::kernels::swiglu_quant {
namespace {

constexpr int kThreads = 128;
constexpr int kPerThread = 8;

__global__ void __launch_bounds__(kThreads) swiglu_quant(Args args) {
  const std::int64_t first =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kPerThread;
  const std::int64_t row = first / args.intermediate;
  const int channel = static_cast<int>(first - row * args.intermediate);
  const bool inside = row < args.rows;  // the same for all lanes of a block of 128 channels
  float largest = 0;
  float values[kPerThread] = {};
  if (inside) {
    const Bf16* gates = args.gate_up + row * 2 * args.intermediate + channel;
    float gate[kPerThread], up[kPerThread];
    unpack(*reinterpret_cast<const Bf16x8*>(gates), gate);
    unpack(*reinterpret_cast<const Bf16x8*>(gates + args.intermediate), up);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const float g = fminf(gate[i], args.limit);
      const float u = fminf(fmaxf(up[i], -args.limit), args.limit);
      values[i] = g / (1 + __expf(-g)) * u;
    }
    unpack(pack_bf16(values), values);
#pragma unroll
    for (float v : values) largest = fmaxf(largest, fabsf(v));
  }
  const std::uint8_t scale = fp8_block_scale(warp_max<16>(largest));
  if (!inside) return;
  const float inverse = inverse_scale(scale);
  const float(&v)[kPerThread] = values;
  const uint2 codes = {pack_e4m3(v[0] * inverse, v[1] * inverse, v[2] * inverse, v[3] * inverse),
                       pack_e4m3(v[4] * inverse, v[5] * inverse, v[6] * inverse, v[7] * inverse)};
  *reinterpret_cast<uint2*>(args.quantised.codes + row * args.intermediate + channel) = codes;
  if (threadIdx.x % 16 == 0) {
    args.quantised.scales[channel / kGemmScaleBlock * args.quantised.scale_stride + row] =
        ue8m0_to_float(scale);
  }
}

std::string refuses(const Args& args) {
  if (args.intermediate % kGemmScaleBlock != 0) return "width is not a multiple of 128";
  if (args.quantised.scale_stride < args.rows) return "scales overlap";
  return "";
}

void launch(const Args& args, void*, Stream stream) {
  const std::int64_t channels = static_cast<std::int64_t>(args.rows) * args.intermediate;
  constexpr int kPerBlock = kThreads * kPerThread;
  const auto blocks = static_cast<unsigned>((channels + kPerBlock - 1) / kPerBlock);
  if (blocks == 0) return;
  swiglu_quant<<<blocks, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("swiglu_quant");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "half a warp makes a block of 128 channels, flat grid",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::swiglu_quant
