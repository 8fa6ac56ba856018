// Top-k, a block a row: the row streams by once, past a bound that rises (stream.cuh).
// Traffic : 4 B a score, once; bound by memory when rows are many.
// Cost    : random or repeated scores shrink the candidates about four times a row of 262,144;
//           tiles are visited in golden-section steps, so that sorted scores do about the same.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/registry.h"
#include "kernels/topk/launch.h"
#include "kernels/topk/stream.cuh"
#include "kernels/topk/topk.h"

namespace v4cap::kernels::topk {
namespace {

constexpr int kPerThread = kRowTile / kRowThreads;
using Shared = StreamState<kRowCandidates, kRowMostK>;

__global__ void __launch_bounds__(kRowThreads, 2) select_row(Args args) {
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const std::int64_t row = blockIdx.x;
  const float* scores = args.scores + row * args.stride;
  std::int32_t* selected = args.selected + row * args.k;
  const int length = args.lengths[row];
  if (length <= args.k) {
    for (int i = static_cast<int>(threadIdx.x); i < args.k; i += kRowThreads) {
      selected[i] = i < length ? i : -1;
    }
    return;
  }
  stream_largest<kRowThreads, kPerThread>(
      shared, length, args.k, [&](int i) { return __ldcs(scores + i); }, [](int i) { return i; },
      selected);
}

void launch(const Args& args, void*, Stream stream) {
  if (args.rows == 0) return;
  V4CAP_CUDA(cudaFuncSetAttribute(select_row, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  select_row<<<static_cast<unsigned>(args.rows), kRowThreads, sizeof(Shared), stream>>>(args);
  V4CAP_LAUNCHED("topk");
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "a block a row, streamed once past a rising bound",
                               .refuses = refuses_one_block,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::topk
