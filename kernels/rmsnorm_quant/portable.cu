// RMSNorm + FP8 quantiser, one block a row, the row kept in registers between the two passes.
// Traffic : 2 B in and 1 + 1/32 B out (bf16 out: 2 B more) a channel; about 4 FLOP: bound by memory.
// Shape   : 8 channels a thread and step; 16 threads of a half warp hold one block of 128 channels,
//           so a block's largest magnitude is a reduction over 16 lanes.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/registry.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"

namespace v4cap::kernels::rmsnorm_quant {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 8;
constexpr int kMaxSteps = 8;  // rows of up to 16384 channels

template <int kSteps>
__global__ void __launch_bounds__(kThreads) norm_quant(Args args) {
  __shared__ float scratch[kThreads / 32];
  const std::int64_t row = blockIdx.x;
  const Bf16* x = args.x + row * args.x_stride;
  float values[kSteps][kPerThread];
  float square = 0;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
    if (channel < args.width) {
      unpack(*reinterpret_cast<const Bf16x8*>(x + channel), values[step]);
#pragma unroll
      for (float v : values[step]) square += v * v;
    }
  }
  if (args.weight != nullptr) {
    const float mean = block_sum(square, scratch) / static_cast<float>(args.width);
    const float inverse = rsqrtf(mean + args.eps);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const int channel = (step * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
      if (channel < args.width) {
#pragma unroll
        for (int i = 0; i < kPerThread; ++i) values[step][i] *= inverse * args.weight[channel + i];
      }
    }
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
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

template <int kSteps>
void launch_steps(const Args& args, cudaStream_t stream) {
  if constexpr (kSteps <= kMaxSteps) {
    if (args.width > kSteps * kThreads * kPerThread) return launch_steps<kSteps + 1>(args, stream);
    norm_quant<kSteps><<<static_cast<unsigned>(args.rows), kThreads, 0, stream>>>(args);
    V4CAP_LAUNCHED("rmsnorm_quant");
  }
}

std::string refuses(const Args& args) {
  if (args.width % kGemmScaleBlock != 0) return "width is not a multiple of 128";
  if (args.width > kMaxSteps * kThreads * kPerThread) return "width is beyond 16384";
  if (args.x_stride % kPerThread != 0) return "rows are not 16-byte aligned";
  return "";
}

void launch(const Args& args, void*, Stream stream) {
  if (args.rows > 0) launch_steps<1>(args, stream);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "one block a row, the row stays in registers",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::rmsnorm_quant
