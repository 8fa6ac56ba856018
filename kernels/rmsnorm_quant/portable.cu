// RMSNorm + FP8 quantiser, one block a row, the row kept in registers between the two passes.
// Traffic : 2 B in and 1 + 1/32 B out (bf16 out: 2 B more) a channel; about 4 FLOP: bound by
// memory.
// Shape   : 8 channels a thread and step, two steps, as many threads as that takes; the weights are
//           loaded before the sum is waited for. 16 threads of a half warp hold one block of 128
//           channels, so a block's largest magnitude is a reduction over 16 lanes.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/registry.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"

namespace v4cap::kernels::rmsnorm_quant {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kPerThread = 8;
constexpr int kSteps = 2;

__global__ void __launch_bounds__(kMaxThreads) norm_quant(Args args) {
  __shared__ float scratch[kMaxThreads / 32];
  const int threads = static_cast<int>(blockDim.x);
  const std::int64_t row = blockIdx.x;
  const Bf16* x = args.x + row * args.x_stride;
  float values[kSteps][kPerThread], weights[kSteps][kPerThread];
  float square = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * threads + static_cast<int>(threadIdx.x)) * kPerThread;
    if (channel < args.width) {
      unpack(*reinterpret_cast<const Bf16x8*>(x + channel), values[step]);
      if (args.weight != nullptr) {
#pragma unroll
        for (int i = 0; i < kPerThread; ++i) weights[step][i] = args.weight[channel + i];
      }
    }
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * threads + static_cast<int>(threadIdx.x)) * kPerThread;
    if (channel < args.width) {
#pragma unroll
      for (float v : values[step]) square += v * v;
    }
  }
  if (args.weight != nullptr) {
    const float mean = block_sum(square, scratch) / static_cast<float>(args.width);
    const float inverse = rsqrtf(mean + args.eps);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const int channel = (step * threads + static_cast<int>(threadIdx.x)) * kPerThread;
      if (channel < args.width) {
#pragma unroll
        for (int i = 0; i < kPerThread; ++i) values[step][i] *= inverse * weights[step][i];
      }
    }
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * threads + static_cast<int>(threadIdx.x)) * kPerThread;
    const bool inside = channel < args.width;  // the same for all lanes of a block of 128 channels
    const Bf16x8 rounded = pack_bf16(values[step]);
    if (inside && args.normed != nullptr) {
      *reinterpret_cast<Bf16x8*>(args.normed + row * args.width + channel) = rounded;
    }
    if (args.quantised.codes == nullptr) continue;
    unpack(rounded, values[step]);
    float largest = 0;
#pragma unroll
    for (float v : values[step]) largest = fmaxf(largest, fabsf(v));
    const std::uint8_t scale = fp8_block_scale(warp_max<16>(inside ? largest : 0.0f));
    const float inverse = inverse_scale(scale);
    if (!inside) continue;
    float(&v)[kPerThread] = values[step];
    const uint2 codes = {pack_e4m3(v[0] * inverse, v[1] * inverse, v[2] * inverse, v[3] * inverse),
                         pack_e4m3(v[4] * inverse, v[5] * inverse, v[6] * inverse, v[7] * inverse)};
    *reinterpret_cast<uint2*>(args.quantised.codes + row * args.width + channel) = codes;
    if (threadIdx.x % 16 == 0) {
      args.quantised.scales[channel / kGemmScaleBlock * args.quantised.scale_stride + row] =
          ue8m0_to_float(scale);
    }
  }
}

std::string refuses(const Args& args) {
  if (args.width <= 0 || args.width % kGemmScaleBlock != 0) return "width is not a multiple of 128";
  if (args.x_stride < args.width && args.rows > 1) return "rows of x overlap";
  if (args.quantised.codes != nullptr && args.quantised.scale_stride < args.rows) {
    return "scales overlap";
  }
  if (args.width > kSteps * kMaxThreads * kPerThread) return "width is beyond 16384";
  if (args.x_stride % kPerThread != 0) return "rows are not 16-byte aligned";
  return "";
}

void launch(const Args& args, void*, Stream stream) {
  if (args.rows == 0) return;
  constexpr int kOfWarp = 32 * kSteps * kPerThread;
  const int threads = (args.width + kOfWarp - 1) / kOfWarp * 32;
  norm_quant<<<static_cast<unsigned>(args.rows), static_cast<unsigned>(threads), 0, stream>>>(args);
  V4CAP_LAUNCHED("rmsnorm_quant");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "one block a row, the row stays in registers",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::rmsnorm_quant
