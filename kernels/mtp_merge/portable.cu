// X_j = e + h_j on every residual stream.
// Traffic : 2 B of e, and 2 B in and out for every stream, a channel: bound by memory.
// Shape   : a thread keeps 8 channels of e and adds them to those of every stream. It writes only
//           what it alone has read, so x may be h.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/mtp_merge/mtp_merge.h"
#include "kernels/registry.h"

namespace v4cap::kernels::mtp_merge {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 8;

template <int kStreams>  // 0: as the arguments say
__global__ void __launch_bounds__(kThreads) merge(Args args) {
  const int channel = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * kPerThread;
  if (channel >= args.hidden) return;
  const std::int64_t token = blockIdx.x;
  const int streams = kStreams > 0 ? kStreams : args.streams;
  const std::int64_t at = token * streams * args.hidden + channel;
  float e[kPerThread];
  unpack(*reinterpret_cast<const Bf16x8*>(args.e + token * args.hidden + channel), e);
  const auto add = [&](const Bf16x8& packed) {
    float h[kPerThread];
    unpack(packed, h);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) h[i] += e[i];
    return pack_bf16(h);
  };
  const auto stream = [&](Bf16* base, int j) {
    return reinterpret_cast<Bf16x8*>(base + at + static_cast<std::int64_t>(j) * args.hidden);
  };
  Bf16* h = const_cast<Bf16*>(args.h);
  if constexpr (kStreams > 0) {
    Bf16x8 packed[kStreams];
#pragma unroll
    for (int j = 0; j < kStreams; ++j) packed[j] = *stream(h, j);
#pragma unroll
    for (int j = 0; j < kStreams; ++j) *stream(args.x, j) = add(packed[j]);
  } else {
    for (int j = 0; j < streams; ++j) *stream(args.x, j) = add(*stream(h, j));
  }
}

std::string refuses(const Args& args) {
  if (args.hidden <= 0 || args.hidden % kPerThread != 0) return "rows are not 16-byte aligned";
  return "";
}

void launch(const Args& args, void*, Stream stream) {
  if (args.tokens == 0) return;
  const int steps = (args.hidden / kPerThread + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(args.tokens), static_cast<unsigned>(steps));
  if (args.streams == 4) {
    merge<4><<<grid, kThreads, 0, stream>>>(args);
  } else {
    merge<0><<<grid, kThreads, 0, stream>>>(args);
  }
  V4CAP_LAUNCHED("mtp_merge");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a thread adds 8 channels of e to every stream",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::mtp_merge
