// What the versions of attention share on the device: where an entry of a token's list lies, and
// the kernel that joins the parts of a split list.
#pragma once

#include <cuda_runtime.h>

#include "kernels/attention/launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"

namespace v4cap::kernels::attention {

inline constexpr float kLog2e = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

struct EntryAddress {
  const std::uint8_t* data = nullptr;  // null: no entry
  const std::uint8_t* scales = nullptr;
};

__device__ inline EntryAddress address_of(const KvPool& pool, const PageTable& table, int sequence,
                                          std::int64_t entry) {
  const std::int64_t page = table.page(sequence, entry, pool.page_entries);
  const auto offset = static_cast<int>(entry % pool.page_entries);
  return {pool.data(page, offset), pool.scales(page, offset)};
}

// Entry `index` of a token's list; null beyond its end and where CSA's list says none.
__device__ inline EntryAddress list_entry(const Args& args, const SeenEntries& seen, int token,
                                          int sequence, int index) {
  if (index < seen.window) {
    return address_of(args.window, args.window_pages, sequence, seen.window_first + index);
  }
  std::int32_t entry = index - seen.window;
  if (entry >= seen.extra) return {};
  if (args.kind == Kind::csa) {
    entry = args.selected[static_cast<std::int64_t>(token) * args.top_k + entry];
    if (entry < 0) return {};
  }
  return address_of(args.extra, args.extra_pages, sequence, entry);
}

// e^(x - m) / (sum + e^(sink - m)) needs this denominator; m is in units of log2 e.
__device__ inline float with_sink(float sum, float largest, float sink) {
  return sum + exp2f(sink * kLog2e - largest);
}

inline constexpr int kCombineThreads = kHeadDim / 4;

// One block a token and head: the splits' sums, each scaled to the largest m of all; the sink comes
// in once, here.
static __global__ void __launch_bounds__(kCombineThreads)
    combine_splits(Args args, Partials partials, int splits) {
  const std::int64_t row = blockIdx.x;  // token * heads + head
  const auto* scales = reinterpret_cast<const float2*>(partials.scales) + row * splits;
  float largest = -INFINITY;
  for (int s = 0; s < splits; ++s) largest = fmaxf(largest, scales[s].x);
  float sum = 0;
  float4 total = {};
  const float4* sums =
      reinterpret_cast<const float4*>(partials.sums) + row * splits * kCombineThreads + threadIdx.x;
#pragma unroll 4
  for (int s = 0; s < splits; ++s) {
    const float2 scale = scales[s];
    const float factor = exp2f(scale.x - largest);
    const float4 part = sums[static_cast<std::int64_t>(s) * kCombineThreads];
    sum += scale.y * factor;
    total.x += part.x * factor;
    total.y += part.y * factor;
    total.z += part.z * factor;
    total.w += part.w * factor;
  }
  const float inverse = 1 / with_sink(sum, largest, args.sink[row % args.heads]);
  const __nv_bfloat162 low = __floats2bfloat162_rn(total.x * inverse, total.y * inverse);
  const __nv_bfloat162 high = __floats2bfloat162_rn(total.z * inverse, total.w * inverse);
  auto* out = reinterpret_cast<__nv_bfloat162*>(args.out + row * kHeadDim) + 2 * threadIdx.x;
  out[0] = low;
  out[1] = high;
  if (threadIdx.x == 0 && args.lse != nullptr) args.lse[row] = largest * kLn2 + logf(sum);
}

inline void launch_combine(const Args& args, const Partials& partials, int splits,
                           cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(args.batch.tokens * args.heads);
  combine_splits<<<rows, kCombineThreads, 0, stream>>>(args, partials, splits);
  V4CAP_LAUNCHED("attention combine");
}

}  // namespace v4cap::kernels::attention
