// mhc_post: 8 channels of a token and all its streams a thread, five 16-byte loads in flight.
// Traffic : 18 d bytes a token, 40 d FLOP: bound by device memory.
// In place: a thread reads all it needs before it writes the same channels.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/mhc_post/portable.h"

namespace v4cap::kernels::mhc_post {
namespace {

constexpr int kStreams = 4;
constexpr int kThreads = 128;
constexpr int kPerThread = 8;

__global__ void __launch_bounds__(kThreads) spread(Args args) {
  const std::int64_t hidden = args.hidden;
  const int channel =
      (static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x)) * kPerThread;
  if (channel >= args.hidden) return;
  const std::int64_t token = blockIdx.x;
  const Bf16* from = args.x + token * kStreams * hidden + channel;
  const auto packed_y = *reinterpret_cast<const Bf16x8*>(args.y + token * hidden + channel);
  Bf16x8 packed_x[kStreams];
#pragma unroll
  for (int i = 0; i < kStreams; ++i) {
    packed_x[i] = *reinterpret_cast<const Bf16x8*>(from + i * hidden);
  }
  const float4 post = reinterpret_cast<const float4*>(args.post)[token];
  const float shares[kStreams] = {post.x, post.y, post.z, post.w};
  float4 comb[kStreams];
#pragma unroll
  for (int i = 0; i < kStreams; ++i) {
    comb[i] = reinterpret_cast<const float4*>(args.comb)[token * kStreams + i];
  }
  float sums[kStreams][kPerThread];
  float values[kPerThread];
  unpack(packed_y, values);
#pragma unroll
  for (int j = 0; j < kStreams; ++j) {
#pragma unroll
    for (int k = 0; k < kPerThread; ++k) sums[j][k] = shares[j] * values[k];
  }
#pragma unroll
  for (int i = 0; i < kStreams; ++i) {
    unpack(packed_x[i], values);
    const float row[kStreams] = {comb[i].x, comb[i].y, comb[i].z, comb[i].w};
#pragma unroll
    for (int j = 0; j < kStreams; ++j) {
#pragma unroll
      for (int k = 0; k < kPerThread; ++k) sums[j][k] = fmaf(row[j], values[k], sums[j][k]);
    }
  }
  Bf16* to = args.out + token * kStreams * hidden + channel;
#pragma unroll
  for (int j = 0; j < kStreams; ++j) {
    *reinterpret_cast<Bf16x8*>(to + j * hidden) = pack_bf16(sums[j]);
  }
}

std::string refuses(const Args& args) {
  return args.hidden > 0 && args.hidden % 256 == 0 ? "" : "hidden is not a multiple of 256";
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "8 channels of all streams a thread",
                               .refuses = refuses,
                               .launch = launch_portable}};

}  // namespace

void launch_portable(const Args& args, void*, Stream stream) {
  if (args.tokens == 0) return;
  constexpr int kPerBlock = kThreads * kPerThread;
  const dim3 grid(static_cast<unsigned>(args.tokens),
                  static_cast<unsigned>((args.hidden + kPerBlock - 1) / kPerBlock));
  spread<<<grid, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("mhc_post");
}

}  // namespace v4cap::kernels::mhc_post
