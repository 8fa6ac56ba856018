// Blackwell's own instructions (sm_100a), thinly wrapped: products with scaled blocks on the fifth
// generation of tensor cores (tcgen05) and the tensor memory that they add up in. Barriers and
// copies are those of hopper.cuh.
//
// Tensor memory: 128 lanes x 512 columns of 32 bits; an address is lane * 65536 + column. One warp
// allocates columns for the block and frees them again. Warp w of four reads lanes 32 w .. 32 w +
// 31.
//
// Product: d[128, n] (+)= (a * scales of a)[128, k] (b * scales of b)[n, k]^T, n % 16 == 0, n <=
// 256. Row r of d is lane r, column j of d is column d + j. One thread issues copies of scales,
// products and commits; they run asynchronously, a copy of scales before products issued later by
// the thread.
//
// Operands a and b lie in shared memory K-major, a step of K 32 bytes further. Row r, 16-byte chunk
// c:
//   rows of 128 bytes, 128-byte swizzle   r * 128 + ((c ^ (r % 8)) * 16), 1024-byte aligned
//   rows of 64 bytes, 64-byte swizzle     r * 64 + ((c ^ (r / 2 % 4)) * 16), 512-byte aligned
//   kind mxf8f6f4   a step is 32 numbers, a byte for each. e2m1: 16 numbers are 8 packed bytes and 8
//                   bytes of padding, which a tensor map of type 16U4_ALIGN16B makes of packed ones
//   kind mxf4       a step is 64 numbers e2m1, two to a byte
//
// Scales are UE8M0, one for a row and 32 numbers of K. Those of 128 rows and four groups of 32 are
// a tile of 512 bytes in shared memory, copied to four columns:
//   byte (r % 32) * 16 + r / 32 * 4 + g   is the scale of row r, group g
// A product names the first group it uses: g for mxf8f6f4, 0 or 2 for mxf4.
//
// Nothing here has been run on a GPU yet; tests/kernels/sm100a_model/ runs the kernels that use it
// on a model of what is said here. Sources: NVIDIA, PTX ISA 9.0, sections on tcgen05 (matrix
// and instruction descriptors, scale factor layout, memory consistency); CUTLASS 4,
// cute/arch/mma_sm100_desc.hpp (the fields' bits); cuBLAS documentation, 1D block scaling factors
// layout (the same tile of scales).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/blackwell_descriptors.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::blackwell {

// ---- launching ----

inline int multiprocessors() {
  int device = 0, count = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

// The block's dynamic shared memory.
__device__ inline std::uint8_t* dynamic_shared() {
  extern __shared__ __align__(1024) std::uint8_t dynamic_shared_memory[];
  return dynamic_shared_memory;
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes, Stream stream,
            const Arguments&... arguments) {
  V4CAP_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), shared_bytes, stream>>>(
      arguments...);
  V4CAP_LAUNCHED("a kernel for sm_100a");
}

// ---- waiting ----

// As hopper::barrier_wait, but stops the kernel with an error where the barrier does not complete.
inline constexpr std::uint64_t kGiveUpNanoseconds = 4'000'000'000;

__device__ inline std::uint64_t nanoseconds() {
  std::uint64_t now = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
__device__ inline void barrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  if (hopper::barrier_try_wait(barrier, parity)) return;
  const std::uint64_t start = nanoseconds();
  while (!hopper::barrier_try_wait(barrier, parity)) {
    if (nanoseconds() - start > kGiveUpNanoseconds) __trap();
  }
}

// ---- tensor memory; alloc, its relinquish and free by all lanes of the same warp ----

// Writes the address of kColumns columns (a power of two, at least 32) to shared memory. Waits
// while another block on the multiprocessor holds them.
template <int kColumns>
__device__ inline void tensor_memory_alloc(std::uint32_t* address) {
  asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(
                   hopper::shared_address(address)),
               "n"(kColumns)
               : "memory");
}
// No more allocations by this block: lets others go on.
__device__ inline void tensor_memory_relinquish() {
  asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::: "memory");
}
template <int kColumns>
__device__ inline void tensor_memory_free(std::uint32_t address) {
  asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(address), "n"(kColumns)
               : "memory");
}

// Around a barrier of threads that orders their accesses to tensor memory.
__device__ inline void fence_before_sync() {
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
}
__device__ inline void fence_after_sync() {
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
}

// 16 columns of the lane of the thread; all lanes of a warp give the same address, that of the
// warp's first lane. The registers hold them after wait_loaded.
__device__ inline void load_columns(std::uint32_t address, std::uint32_t (&v)[16]) {
  asm volatile(
      "tcgen05.ld.sync.aligned.32x32b.x16.b32 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "
      "%12, %13, %14, %15}, [%16];"
      : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]), "=r"(v[4]), "=r"(v[5]), "=r"(v[6]),
        "=r"(v[7]), "=r"(v[8]), "=r"(v[9]), "=r"(v[10]), "=r"(v[11]), "=r"(v[12]), "=r"(v[13]),
        "=r"(v[14]), "=r"(v[15])
      : "r"(address)
      : "memory");
}
// The empty statements keep the compiler from using the registers before the wait.
template <class... Arrays>
__device__ inline void wait_loaded(Arrays&... loaded) {
  asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
  const auto pin = [](auto& v) {
#pragma unroll
    for (int i = 0; i < 16; ++i) asm volatile("" : "+r"(v[i])::"memory");
  };
  (pin(loaded), ...);
}

// ---- products; one thread ----

// What a barrier is told: all earlier copies of scales and products of this thread are done. Counts
// as one arrival.
__device__ inline void commit(std::uint64_t* barrier) {
  asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(
                   hopper::shared_address(barrier))
               : "memory");
}

// A tile of scales to four columns, the same in all quarters of the lanes.
__device__ inline void copy_scales(std::uint32_t column, std::uint64_t described) {
  asm volatile("tcgen05.cp.cta_group::1.32x128b.warpx4 [%0], %1;" ::"r"(column), "l"(described)
               : "memory");
}

// `accumulate` false starts anew.
#define V4CAP_BLACKWELL_PRODUCT(name, kind)                                                \
  __device__ inline void name(std::uint32_t d, std::uint64_t a, std::uint64_t b,           \
                              std::uint32_t instruction, std::uint32_t a_scales,           \
                              std::uint32_t b_scales, bool accumulate) {                   \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %6, 0;\ntcgen05.mma.cta_group::1." kind \
                 " [%0], %1, %2, %3, [%4], [%5], p;\n}" ::"r"(d),                          \
                 "l"(a), "l"(b), "r"(instruction), "r"(a_scales), "r"(b_scales),           \
                 "r"(static_cast<std::uint32_t>(accumulate))                               \
                 : "memory");                                                              \
  }
V4CAP_BLACKWELL_PRODUCT(product_mxf8f6f4, "kind::mxf8f6f4.block_scale.scale_vec::1X")
V4CAP_BLACKWELL_PRODUCT(product_mxf4, "kind::mxf4.block_scale.scale_vec::2X")
#undef V4CAP_BLACKWELL_PRODUCT

}  // namespace v4cap::kernels::blackwell
