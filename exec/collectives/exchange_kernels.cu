#include <cuda_bf16.h>

#include <algorithm>

#include "exec/collectives/exchange_kernels.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;  // bf16 elements of 16 bytes

unsigned blocks_for(std::int64_t elements) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>((elements + kThreads - 1) / kThreads, 1, 1024));
}

__global__ void fill(__nv_bfloat16* data, std::int64_t elements, std::int64_t first, int rank) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < elements; i += stride) {
    data[i] = __float2bfloat16(static_cast<float>(element_of(first + i, rank)));
  }
}

__global__ void compare(const __nv_bfloat16* data, std::int64_t elements, std::int64_t first,
                        int begin, int end, unsigned long long* wrong) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  unsigned long long own = 0;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < elements; i += stride) {
    int expected = 0;
    for (int r = begin; r < end; ++r) expected += element_of(first + i, r);
    own += __bfloat162float(data[i]) == static_cast<float>(expected) ? 0 : 1;
  }
  if (own > 0) atomicAdd(wrong, own);
}

__device__ void store_release(std::uint32_t* flag, std::uint32_t value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}

__device__ std::uint32_t load_acquire(const std::uint32_t* flag) {
  std::uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
}

// Peers' memory is read past L1, which nobody keeps coherent with it.
__device__ uint4 load_peer(const uint4* from) {
  uint4 v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
}

__device__ std::uint32_t* flags_of(void* region) {
  return reinterpret_cast<std::uint32_t*>(static_cast<char*>(region) + PeerRegion::kFlags);
}

__device__ void add(float (&sums)[kVector], uint4 v) {
  const __nv_bfloat162* pairs = reinterpret_cast<const __nv_bfloat162*>(&v);
  for (int p = 0; p < kVector / 2; ++p) {
    const float2 two = __bfloat1622float2(pairs[p]);
    sums[2 * p] += two.x;
    sums[2 * p + 1] += two.y;
  }
}

// Two tensors in turn: a rank that is one launch ahead writes the other one. It cannot be two ahead,
// because its block waits in between for this one's flag.
__global__ void __launch_bounds__(kThreads)
    sum_of_peers(PeerView view, const __nv_bfloat16* in, __nv_bfloat16* out,
                 std::int64_t elements) {
  const int block = static_cast<int>(blockIdx.x);
  const std::uint32_t epoch = view.epochs[block] + 1;
  const std::size_t half = (epoch & 1) * kPeerBytes;
  const std::int64_t vectors = (elements + kVector - 1) / kVector;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t first = static_cast<std::int64_t>(block) * blockDim.x + threadIdx.x;

  auto* own = reinterpret_cast<__nv_bfloat16*>(static_cast<char*>(view.regions[view.rank]) + half);
  for (std::int64_t v = first; v < vectors; v += stride) {
    if ((v + 1) * kVector <= elements) {
      reinterpret_cast<uint4*>(own)[v] = reinterpret_cast<const uint4*>(in)[v];
    } else {
      for (std::int64_t i = v * kVector; i < elements; ++i) own[i] = in[i];
    }
  }
  __syncthreads();
  // Each thread of the first few tells one rank and waits for it. The release of this thread follows
  // the barrier, and so what all threads of the block have written.
  if (threadIdx.x < static_cast<unsigned>(view.ranks)) {
    const auto peer = static_cast<int>(threadIdx.x);
    __threadfence_system();
    store_release(flags_of(view.regions[peer]) + block * kMostPeers + view.rank, epoch);
    const std::uint32_t* flag = flags_of(view.regions[view.rank]) + block * kMostPeers + peer;
    while (static_cast<std::int32_t>(load_acquire(flag) - epoch) < 0) {
    }
  }
  __syncthreads();
  for (std::int64_t v = first; v < vectors; v += stride) {
    float sums[kVector] = {};
    for (int r = 0; r < view.ranks; ++r) {
      const auto* theirs =
          reinterpret_cast<const uint4*>(static_cast<const char*>(view.regions[r]) + half);
      add(sums, load_peer(theirs + v));
    }
    if ((v + 1) * kVector <= elements) {
      uint4 packed;
      auto* pairs = reinterpret_cast<__nv_bfloat162*>(&packed);
      for (int p = 0; p < kVector / 2; ++p) {
        pairs[p] = __floats2bfloat162_rn(sums[2 * p], sums[2 * p + 1]);
      }
      reinterpret_cast<uint4*>(out)[v] = packed;
    } else {
      for (std::int64_t i = v * kVector; i < elements; ++i) {
        out[i] = __float2bfloat16(sums[i - v * kVector]);
      }
    }
  }
  if (threadIdx.x == 0) view.epochs[block] = epoch;
}

}  // namespace

void fill_elements(void* data, std::int64_t elements, std::int64_t first, int rank,
                   kernels::Stream stream) {
  if (elements == 0) return;
  fill<<<blocks_for(elements), kThreads, 0, stream>>>(static_cast<__nv_bfloat16*>(data), elements,
                                                      first, rank);
  V4CAP_CUDA(cudaGetLastError());
}

void count_wrong(const void* data, std::int64_t elements, std::int64_t first, int begin, int end,
                 std::int64_t* wrong, kernels::Stream stream) {
  if (elements == 0) return;
  compare<<<blocks_for(elements), kThreads, 0, stream>>>(
      static_cast<const __nv_bfloat16*>(data), elements, first, begin, end,
      reinterpret_cast<unsigned long long*>(wrong));
  V4CAP_CUDA(cudaGetLastError());
}

void peer_sums(const PeerView& view, const void* in, void* out, std::int64_t elements,
               kernels::Stream stream) {
  // As many blocks on every rank: a block waits for its like. Few for little, whose flags cost more.
  const std::int64_t vectors = (elements + kVector - 1) / kVector;
  const auto blocks = static_cast<unsigned>(
      std::clamp<std::int64_t>((vectors + kThreads - 1) / kThreads, 1, kPeerBlocks));
  sum_of_peers<<<blocks, kThreads, 0, stream>>>(view, static_cast<const __nv_bfloat16*>(in),
                                                static_cast<__nv_bfloat16*>(out), elements);
  V4CAP_CUDA(cudaGetLastError());
}

}  // namespace v4cap::exec
