// Embedding lookup into the residual streams.
// Traffic : 2 B in and 2 B out for every stream, a channel: bound by memory, no arithmetic.
// Shape   : a thread reads 8 channels and writes them to every stream; a token's row is divided
//           over the grid's second dimension, so that one token's row is read at once.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/embedding/embedding.h"
#include "kernels/registry.h"

namespace v4cap::kernels::embedding {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 8;

__global__ void __launch_bounds__(kThreads) embed(Args args) {
  const int channel = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * kPerThread;
  if (channel >= args.hidden) return;
  const std::int64_t token = blockIdx.x;
  const std::int64_t id = args.token_ids[token];
  const uint4 value = *reinterpret_cast<const uint4*>(args.table + id * args.hidden + channel);
  Bf16* out = args.x + token * args.streams * args.hidden + channel;
  for (int j = 0; j < args.streams; ++j) {
    *reinterpret_cast<uint4*>(out + static_cast<std::int64_t>(j) * args.hidden) = value;
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
  embed<<<grid, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("embedding");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a thread reads 8 channels and writes them to every stream",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::embedding
