// Hopper's own instructions (sm_90a) and the asynchronous copies and barriers they work with,
// thinly wrapped: warpgroup products (wgmma), transaction barriers, bulk copies, register
// reallocation.
//
// Shared-memory operands of wgmma, as our kernels lay them out ("tile of 64 columns"): rows of 128
// bytes in the 128-byte swizzle, groups of 8 rows 1024 bytes apart, the tile 1024-byte aligned:
//   byte address of row r, 16-byte chunk c (0..7):   r * 128 + ((c ^ (r % 8)) * 16)
// With K running along the 128 bytes it is a K-major operand: describe_k_major, and 32 bytes
// further for each step of 16 bf16 (32 e4m3) of K. The same bf16 tile read with K running over the
// rows is an MN-major operand: describe_mn_major, 2048 bytes further for each step of 16 rows.
// Source: NVIDIA, PTX ISA 9.0, sections on wgmma (matrix descriptor, canonical layouts), mbarrier,
// cp.async.bulk, setmaxnreg.
#pragma once

#include <cstdint>

namespace v4cap::kernels::hopper {

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- 16-byte asynchronous copies (any GPU since sm_80) ----

__device__ inline void cp_async_16(std::uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
// Writes zeros where `valid` is false, without touching `from`.
__device__ inline void cp_async_16_or_zero(std::uint32_t to, const void* from, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
__device__ inline void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kPending>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
// The barrier is arrived at (without raising its count) when this thread's earlier copies are done.
__device__ inline void cp_async_arrive(std::uint64_t* barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// ---- transaction barriers ----

__device__ inline void barrier_init(std::uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}
// After barrier_init, before anything else uses the barriers (then a __syncthreads or cluster
// sync).
__device__ inline void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void barrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
__device__ inline void barrier_expect(std::uint64_t* barrier, std::uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
// Arrives at the same barrier of another CTA of the cluster.
__device__ inline void barrier_arrive_remote(std::uint64_t* barrier, int cta) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(cta)
      : "memory");
}
// The same where the arrival says only that this thread has read: it orders no writes for the other
// CTA, and so does without the fence over all memory that the release to a cluster costs.
__device__ inline void barrier_arrive_remote_after_reads(std::uint64_t* barrier, int cta) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(cta)
      : "memory");
}
__device__ inline bool barrier_try_wait(std::uint64_t* barrier, std::uint32_t parity) {
  std::uint32_t done = 0;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}"
      : "=r"(done)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return done != 0;
}
// Waits for the phase of this parity to end; a fresh barrier counts as having ended parity 1.
__device__ inline void barrier_wait(std::uint64_t* barrier, std::uint32_t parity) {
  while (!barrier_try_wait(barrier, parity)) {
  }
}

// A ring of shared-memory stages: which one is next, and the parity of its barriers.
template <int kStages>
struct RingPosition {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// ---- bulk copies ----

// `bytes` % 16 == 0, both addresses 16-byte aligned; completes on the barrier's transaction count.
__device__ inline void bulk_copy(void* to, const void* from, std::uint32_t bytes,
                                 std::uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}
// What is read once leaves the L2 before what was there.
__device__ inline std::uint64_t policy_evict_first() {
  std::uint64_t policy = 0;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ inline void bulk_copy(void* to, const void* from, std::uint32_t bytes,
                                 std::uint64_t* barrier, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(policy)
      : "memory");
}

// Fetches a tensor map ahead of its first copy.
__device__ inline void prefetch_tensor_map(const void* tensor_map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(tensor_map) : "memory");
}

// From shared memory to the same place in another CTA of the cluster, completing on its barrier.
__device__ inline void bulk_copy_to_cta(const void* from, std::uint32_t bytes,
                                        std::uint64_t* barrier, int cta) {
  asm volatile(
      "{\n"
      ".reg .b32 to, remote;\n"
      "mapa.shared::cluster.u32 to, %0, %3;\n"
      "mapa.shared::cluster.u32 remote, %2, %3;\n"
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
      " [to], [%0], %1, [remote];\n"
      "}" ::"r"(shared_address(from)),
      "r"(bytes), "r"(shared_address(barrier)), "r"(cta)
      : "memory");
}
// Back to global memory; `bytes` and addresses as above. The thread that stored waits, so that the
// shared memory outlives the copy.
__device__ inline void bulk_store(void* to, const void* from, std::uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
}
__device__ inline void bulk_store_wait() {
  asm volatile(
      "cp.async.bulk.commit_group;\n"
      "cp.async.bulk.wait_group.read 0;" ::
          : "memory");
}

// A box of a 2-D tensor map (column first) into shared memory.
__device__ inline void tensor_copy_2d(void* to, const void* tensor_map, int column, int row,
                                      std::uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
      "l"(tensor_map), "r"(column), "r"(row), "r"(shared_address(barrier))
      : "memory");
}

// The same box to the same place in every CTA of `mask`, and to the same barrier of each.
__device__ inline void tensor_copy_2d_multicast(void* to, const void* tensor_map, int column,
                                                int row, std::uint64_t* barrier,
                                                std::uint16_t mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(shared_address(to)),
      "l"(tensor_map), "r"(column), "r"(row), "r"(shared_address(barrier)), "h"(mask)
      : "memory");
}

// A box of shared memory into a matrix; what lies outside the matrix is left out. One thread starts
// stores, commits them as a group, and waits until at most kPending groups still read their source.
__device__ inline void tensor_store_2d(const void* tensor_map, int column, int row,
                                       const void* from) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(
                   tensor_map),
               "r"(column), "r"(row), "r"(shared_address(from))
               : "memory");
}
__device__ inline void bulk_store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
template <int kPending>
__device__ inline void bulk_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

// ---- ordering ----

// Ordinary writes to shared memory become visible to wgmma and bulk copies; then a barrier.
__device__ inline void fence_async_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// A barrier of `threads` threads; 0 is __syncthreads' own.
__device__ inline void named_sync(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
__device__ inline void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}
// Waits for the other CTAs without making writes visible to them.
__device__ inline void cluster_sync_relaxed() {
  asm volatile(
      "barrier.cluster.arrive.relaxed.aligned;\n"
      "barrier.cluster.wait.aligned;" ::
          : "memory");
}
// A number in the shared memory of another CTA of the cluster, where this CTA has it at `here`.
__device__ inline float load_remote(const float* here, int cta) {
  float value = 0;
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %1, %2;\n"
      "ld.shared::cluster.f32 %0, [remote];\n"
      "}"
      : "=f"(value)
      : "r"(shared_address(here)), "r"(cta)
      : "memory");
  return value;
}
__device__ inline int cluster_rank() {
  std::uint32_t rank = 0;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int>(rank);
}

// ---- register reallocation: every warp of a warpgroup executes it ----

template <int kRegisters>
__device__ inline void registers_increase() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void registers_decrease() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// ---- warpgroup products ----

// Both kinds of descriptor of a tile in 128-byte swizzle (see the head of this file). `tile_stride`
// is what lies between one tile of 64 columns and the next: used by MN-major operands wider than
// 64.
__device__ inline std::uint64_t describe_k_major(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | std::uint64_t{1} << 16 |
         std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}
__device__ inline std::uint64_t describe_mn_major(std::uint32_t address,
                                                  std::uint32_t tile_stride) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) |
         static_cast<std::uint64_t>(tile_stride >> 4) << 16 | std::uint64_t{1024 >> 4} << 32 |
         std::uint64_t{1} << 62;
}

// Before the first wgmma, and after registers it reads have been written.
__device__ inline void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving accesses of an accumulator across a wait or a fence.
template <int kCount>
__device__ inline void pin(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#define V4CAP_REGS_4 "%0, %1, %2, %3"
#define V4CAP_REGS_8 V4CAP_REGS_4 ", %4, %5, %6, %7"
#define V4CAP_REGS_16 V4CAP_REGS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define V4CAP_REGS_32                                                        \
  V4CAP_REGS_16                                                              \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, " \
  "%30, %31"
#define V4CAP_REGS_64                                                           \
  V4CAP_REGS_32                                                                 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "    \
  "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, " \
  "%61, %62, %63"
#define V4CAP_REGS_128                                                             \
  V4CAP_REGS_64                                                                    \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, "       \
  "%78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, "    \
  "%93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, "  \
  "%107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define V4CAP_D4(d, i) "+f"((d)[i]), "+f"((d)[i + 1]), "+f"((d)[i + 2]), "+f"((d)[i + 3])
#define V4CAP_D8(d, i) V4CAP_D4(d, i), V4CAP_D4(d, i + 4)
#define V4CAP_D16(d, i) V4CAP_D8(d, i), V4CAP_D8(d, i + 8)
#define V4CAP_D32(d, i) V4CAP_D16(d, i), V4CAP_D16(d, i + 16)
#define V4CAP_D64(d, i) V4CAP_D32(d, i), V4CAP_D32(d, i + 32)
#define V4CAP_D128(d, i) V4CAP_D64(d, i), V4CAP_D64(d, i + 64)

// d[64, n] (+)= a[64, k] b[n, k]^T by one warpgroup; thread t of it holds, in d[4 j + 2 h + i], row
// 16 * (t / 32) + 8 * h + t % 32 / 4 and column 8 * j + 2 * (t % 4) + i. `accumulate` 0 starts
// anew. wgmma_bf16<n>: k = 16; kTransposedB: b is MN-major. wgmma_e4m3<n>: k = 32, both K-major.
// The overloads with a[4] take A from registers: for bf16 a[0..3] hold pairs of columns of rows
// (r, k 0-7), (r + 8, k 0-7), (r, k 8-15), (r + 8, k 8-15); for e4m3 quads likewise.
template <int kN, int kTransposedB = 0>
__device__ void wgmma_bf16(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b, int accumulate);
template <int kN, int kTransposedB = 0>
__device__ void wgmma_bf16(float (&d)[kN / 2], const std::uint32_t (&a)[4], std::uint64_t b,
                           int accumulate);
template <int kN>
__device__ void wgmma_e4m3(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b, int accumulate);
template <int kN>
__device__ void wgmma_e4m3(float (&d)[kN / 2], const std::uint32_t (&a)[4], std::uint64_t b,
                           int accumulate);

// Operand numbers follow the accumulators': A, B and the predicate, or A's four, B and the
// predicate.
#define V4CAP_WGMMA_N(n, regs, A, B, P, A1, A2, A3, B4, P5)                                     \
  template <>                                                                                   \
  __device__ inline void wgmma_e4m3<n>(float(&d)[n / 2], std::uint64_t a, std::uint64_t b,      \
                                       int accumulate) {                                        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P                                        \
                 ", 0;\n"                                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k32.f32.e4m3.e4m3 {" V4CAP_REGS_##regs \
                 "}, %" #A ", %" #B ", p, 1, 1;\n}"                                             \
                 : V4CAP_D##regs(d, 0)                                                          \
                 : "l"(a), "l"(b), "r"(accumulate));                                            \
  }                                                                                             \
  template <>                                                                                   \
  __device__ inline void wgmma_e4m3<n>(float(&d)[n / 2], const std::uint32_t(&a)[4],            \
                                       std::uint64_t b, int accumulate) {                       \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P5                                       \
                 ", 0;\n"                                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k32.f32.e4m3.e4m3 {" V4CAP_REGS_##regs \
                 "}, {%" #A ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B4 ", p, 1, 1;\n}"            \
                 : V4CAP_D##regs(d, 0)                                                          \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));        \
  }                                                                                             \
  V4CAP_WGMMA_BF16(n, regs, A, B, P, A1, A2, A3, B4, P5, 0)                                     \
  V4CAP_WGMMA_BF16(n, regs, A, B, P, A1, A2, A3, B4, P5, 1)

#define V4CAP_WGMMA_BF16(n, regs, A, B, P, A1, A2, A3, B4, P5, tb)                              \
  template <>                                                                                   \
  __device__ inline void wgmma_bf16<n, tb>(float(&d)[n / 2], std::uint64_t a, std::uint64_t b,  \
                                           int accumulate) {                                    \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P                                        \
                 ", 0;\n"                                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" V4CAP_REGS_##regs \
                 "}, %" #A ", %" #B ", p, 1, 1, 0, " #tb ";\n}"                                 \
                 : V4CAP_D##regs(d, 0)                                                          \
                 : "l"(a), "l"(b), "r"(accumulate));                                            \
  }                                                                                             \
  template <>                                                                                   \
  __device__ inline void wgmma_bf16<n, tb>(float(&d)[n / 2], const std::uint32_t(&a)[4],        \
                                           std::uint64_t b, int accumulate) {                   \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P5                                       \
                 ", 0;\n"                                                                       \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" V4CAP_REGS_##regs \
                 "}, {%" #A ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B4 ", p, 1, 1, " #tb ";\n}"   \
                 : V4CAP_D##regs(d, 0)                                                          \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));        \
  }

V4CAP_WGMMA_N(8, 4, 4, 5, 6, 5, 6, 7, 8, 9)
V4CAP_WGMMA_N(16, 8, 8, 9, 10, 9, 10, 11, 12, 13)
V4CAP_WGMMA_N(32, 16, 16, 17, 18, 17, 18, 19, 20, 21)
V4CAP_WGMMA_N(64, 32, 32, 33, 34, 33, 34, 35, 36, 37)
V4CAP_WGMMA_N(128, 64, 64, 65, 66, 65, 66, 67, 68, 69)
V4CAP_WGMMA_N(256, 128, 128, 129, 130, 129, 130, 131, 132, 133)

#undef V4CAP_WGMMA_N
#undef V4CAP_WGMMA_BF16

}  // namespace v4cap::kernels::hopper
