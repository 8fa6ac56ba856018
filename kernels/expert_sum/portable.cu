// Sum of a token's expert rows, a block a token.
// Traffic : 2 B a channel of every local row and of the shared one, 2 B out: bound by memory.
// Idea    : the token's row numbers are read once; then a thread has all its channels of a row in
//           flight, 8 in each of up to 8 steps.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/expert_sum/expert_sum.h"
#include "kernels/registry.h"

namespace v4cap::kernels::expert_sum {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 8;
constexpr int kMaxActive = 8;
constexpr int kMaxSteps = 8;

template <int kSteps>
__global__ void __launch_bounds__(kThreads) sum_rows(Args args) {
  const std::int64_t token = blockIdx.x;
  std::int32_t row[kMaxActive];
#pragma unroll
  for (int k = 0; k < kMaxActive; ++k) {
    row[k] = k < args.active ? args.token_row[token * args.active + k] : -1;
  }
  float sum[kSteps][kPerThread] = {};
  const auto add = [&](const Bf16* from) {
    Bf16x8 packed[kSteps];
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const int channel = (step * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
      if (channel < args.hidden) packed[step] = *reinterpret_cast<const Bf16x8*>(from + channel);
    }
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      float values[kPerThread];
      unpack(packed[step], values);
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) sum[step][i] += values[i];
    }
  };
#pragma unroll
  for (int k = 0; k < kMaxActive; ++k) {
    if (row[k] >= 0) add(args.rows + static_cast<std::int64_t>(row[k]) * args.hidden);
  }
  if (args.shared != nullptr) add(args.shared + token * args.hidden);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int channel = (step * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
    if (channel < args.hidden) {
      *reinterpret_cast<Bf16x8*>(args.y + token * args.hidden + channel) = pack_bf16(sum[step]);
    }
  }
}

template <int kSteps>
void launch_steps(const Args& args, cudaStream_t stream) {
  if constexpr (kSteps <= kMaxSteps) {
    if (args.hidden > kSteps * kThreads * kPerThread) return launch_steps<kSteps + 1>(args, stream);
    sum_rows<kSteps><<<static_cast<unsigned>(args.tokens), kThreads, 0, stream>>>(args);
    V4CAP_LAUNCHED("expert_sum");
  }
}

std::string refuses(const Args& args) {
  if (args.hidden % kPerThread != 0) return "hidden is not a multiple of 8";
  if (args.hidden > kMaxSteps * kThreads * kPerThread) return "hidden is beyond 16384";
  if (args.active > kMaxActive) return "more than 8 experts a token";
  return "";
}

void launch(const Args& args, void*, Stream stream) {
  if (args.tokens > 0) launch_steps<1>(args, stream);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a block a token, all channels of a row in flight",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::expert_sum
