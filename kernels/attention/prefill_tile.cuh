// Prefill attention on Hopper: what the versions share. They differ in how tiles of entries arrive.
//
// Idea    : a pair of thread blocks (a cluster) carries 128 query rows, 64 for each of two math
//           warpgroups, and splits the 512 channels: a block holds 256 of them, of the queries, of
//           the entries (keys and values are the same bytes) and of the output. Its scores are hence
//           partial sums; each thread sends its own to its twin in the other block, straight into that
//           block's shared memory, and both add them up. The softmax is done twice, but an entry is
//           fetched once by the pair, the weights never leave registers, and warpgroups of a block
//           need not wait for each other. Parts of scores travel as fp16, relative to the running
//           maximum: as fp32 they took 16 KiB a tile and warpgroup, over links that carry some 14 B
//           a cycle.
// Pipeline: the scores of tile i + 2 and the output of tile i are issued together. While the tensor
//           cores work on them, the scores of i + 1, sent before, become weights. The two
//           warpgroups fill each other's gaps.
// Shape   : m64n64k16 over 256 channels for the scores, m64n256k16 over 64 entries for the output
//           (128 accumulators a thread), 3 warpgroups: two of maths, one that fetches.
// Traffic : 32 KiB of entries for 128 * 512 * 64 multiply-adds of a block: 16 B a cycle from L2 at
//           the full rate. Shared memory: 128 KiB of operands for the scores, 64 KiB for the output,
//           32 KiB of exchange, 32 KiB of fetched entries against 2048 cycles of tensor cores: 125
//           B a cycle where 128 are possible.
// Bound   : the tensor cores and shared memory alike.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/prefill_launch.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/hopper.cuh"

namespace v4cap::kernels::attention::prefill {

constexpr int kMathGroups = 2;
constexpr int kGroupThreads = 128;
constexpr int kGroupWarps = 4;
constexpr int kThreads = (kMathGroups + 1) * kGroupThreads;
constexpr int kHalfDim = kHeadDim / 2;
constexpr int kHalfPlanes = kPlanes / 2;
constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
constexpr float kLowest = -1e30f;  // stands for minus infinity where one is subtracted
constexpr float kSlack = 8.0f;     // the running maximum may lag by 2^8 before sums are rescaled

// ---- what hopper.cuh lacks: talking to the other block of the pair ----

__device__ inline std::uint32_t address_in(std::uint32_t own, int cta) {
  std::uint32_t address = 0;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(own), "r"(cta));
  return address;
}
// 16 bytes into another block's shared memory; they count as transactions of a barrier there.
__device__ inline void store_remote(std::uint32_t to, std::uint32_t barrier, std::uint32_t a,
                                    std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%2, %3, %4, %5}, "
      "[%1];" ::"r"(to),
      "r"(barrier), "r"(a), "r"(b), "r"(c), "r"(d)
      : "memory");
}
// Says to another block that something was read here. Relaxed, so that no fence runs: what was read
// must have been used by an instruction before.
__device__ inline void arrive_remote(std::uint64_t* barrier, int cta) {
  asm volatile("mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%0];" ::"r"(
                   address_in(hopper::shared_address(barrier), cta))
               : "memory");
}
// As hopper::barrier_wait, but what cannot end (an error of the protocol) traps and hangs nothing.
__device__ inline void wait(std::uint64_t* barrier, std::uint32_t parity) {
  int tries = 0;
  while (!hopper::barrier_try_wait(barrier, parity)) {
    if (++tries > (1 << 22)) __trap();
  }
}

// Read anew wherever it is needed, for want of registers.
__device__ inline int block_of_pair() {
  int rank = 0;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// ---- shared memory of a block ----

// Tiles of kKeys entries in kRings rings (both math warpgroups read one ring, or each its own) of
// kStages stages.
template <int kKeys, int kRings, int kStages>
struct Shared {
  static constexpr int kTilePlaneBytes = kKeys * kPlaneBytes;
  static constexpr int kTileBytes = kHalfPlanes * kTilePlaneBytes;
  static constexpr int kPartialBytes = kGroupThreads * kKeys / 2 * 2;

  alignas(1024) std::uint8_t q[kMathGroups][kHalfPlanes][kRowsOfHalf * kPlaneBytes];
  alignas(1024) std::uint8_t tiles[kRings][kStages][kTileBytes];
  uint4 partial[kMathGroups][kKeys / 16][kGroupThreads];  // the twin's scores, fp16
  std::uint64_t seen[kMathGroups][kRings][kStages];       // a bit for each entry of a tile
  std::uint64_t q_full, q_empty;
  std::uint64_t tile_full[kRings][kStages], tile_empty[kRings][kStages];
  std::uint64_t partial_full[kMathGroups], partial_empty[kMathGroups];
};

// Byte offset of a row's 16-byte piece (0..31: four planes of 8 pieces) in a tile whose planes are
// `plane_bytes` apart.
__device__ inline int piece_offset(int row, int piece, int plane_bytes) {
  return piece / 8 * plane_bytes + row * kPlaneBytes + ((piece % 8) ^ (row % 8)) * 16;
}

// ---- maths ----

// Where the tile of this number lies in a ring of kStages stages.
template <int kStages>
struct Ring {
  static_assert((kStages & (kStages - 1)) == 0);
  __device__ static int stage(std::uint32_t tile) { return static_cast<int>(tile % kStages); }
  __device__ static std::uint32_t parity(std::uint32_t tile) { return tile / kStages % 2; }
};

// Four neighbouring lanes hold one word of each of four 16-byte pieces; afterwards lane i of them
// holds piece i.
__device__ inline uint4 transpose_quad(std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                                       std::uint32_t a3, int lane) {
  const bool odd = (lane & 1) != 0;
  const bool high = (lane & 2) != 0;
  const std::uint32_t r0 = __shfl_xor_sync(~0u, odd ? a0 : a1, 1);
  const std::uint32_t r1 = __shfl_xor_sync(~0u, odd ? a2 : a3, 1);
  const std::uint32_t b0 = odd ? r0 : a0, b1 = odd ? a1 : r0;
  const std::uint32_t b2 = odd ? r1 : a2, b3 = odd ? a3 : r1;
  const std::uint32_t s0 = __shfl_xor_sync(~0u, high ? b0 : b2, 2);
  const std::uint32_t s1 = __shfl_xor_sync(~0u, high ? b1 : b3, 2);
  return high ? make_uint4(s0, s1, b2, b3) : make_uint4(b0, b1, s0, s1);
}

__device__ inline __half2 as_halves(std::uint32_t word) {
  return *reinterpret_cast<const __half2*>(&word);
}
__device__ inline std::uint32_t add_halves(std::uint32_t a, std::uint32_t b) {
  const __half2 sum = __hadd2(as_halves(a), as_halves(b));
  return *reinterpret_cast<const std::uint32_t*>(&sum);
}

// Without exp2f's care for results below 2^-126.
__device__ inline float power_of_two(float x) {
  float y = 0;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline std::uint32_t pack_two(float a, float b) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(a, b);
  return *reinterpret_cast<const std::uint32_t*>(&two);
}

template <int kKeys, int kRings, int kStages, bool kFencedTiles>
struct Maths {
  using Memory = Shared<kKeys, kRings, kStages>;
  static constexpr int kScores = kKeys / 2;
  static constexpr int kSteps = kKeys / 16;
  static constexpr int kWords = kKeys / 4;  // pairs of scores or weights, as fp16 or bf16
  using Words = std::uint32_t[kWords];

  Memory& shared;
  int group, ring, thread;
  float scale;             // of scores, times log2 e
  std::uint32_t tile = 0;  // whose weighted values are added next; counts on over items
  float largest[2], sum[2], factor[2];

  __device__ Maths(Memory& memory, int group_, float scale_)
      : shared(memory),
        group(group_),
        ring(kRings == 2 ? group_ : 0),
        thread(static_cast<int>(threadIdx.x) % kGroupThreads),
        scale(scale_) {}

  __device__ bool first_lane() const { return thread % 32 == 0; }

  __device__ void wait_tile(std::uint32_t t) {
    wait(&shared.tile_full[ring][Ring<kStages>::stage(t)], Ring<kStages>::parity(t));
    // Entries that cp.async wrote are ordered before wgmma's reads here: who fetches does not wait.
    if (kFencedTiles) hopper::fence_async_shared();
  }
  __device__ void release_tile(std::uint32_t t) {
    if (first_lane()) hopper::barrier_arrive(&shared.tile_empty[ring][Ring<kStages>::stage(t)]);
  }
  __device__ void release_queries() {
    if (first_lane()) hopper::barrier_arrive(&shared.q_empty);
  }

  __device__ void issue_scores(float (&s)[kScores], std::uint32_t t) {
    std::uint32_t queries = hopper::shared_address(shared.q[group]);
    asm volatile("" : "+r"(queries));  // no descriptor is kept in registers from tile to tile
    const std::uint64_t q = hopper::describe_k_major(queries);
    const std::uint64_t k = hopper::describe_k_major(
        hopper::shared_address(shared.tiles[ring][Ring<kStages>::stage(t)]));
#pragma unroll
    for (int plane = 0; plane < kHalfPlanes; ++plane) {
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        hopper::wgmma_bf16<kKeys>(
            s, q + static_cast<unsigned>((plane * kRowsOfHalf * kPlaneBytes + step * 32) / 16),
            k + static_cast<unsigned>((plane * Memory::kTilePlaneBytes + step * 32) / 16),
            plane + step != 0 ? 1 : 0);
      }
    }
    hopper::wgmma_commit();
  }

  __device__ void issue_output(float (&o)[kHalfDim / 2], const Words& p, std::uint32_t t) {
    const std::uint64_t v = hopper::describe_mn_major(
        hopper::shared_address(shared.tiles[ring][Ring<kStages>::stage(t)]),
        Memory::kTilePlaneBytes);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const std::uint32_t a[4] = {p[4 * step], p[4 * step + 1], p[4 * step + 2], p[4 * step + 3]};
      hopper::wgmma_bf16<kHalfDim, 1>(o, a, v + static_cast<unsigned>(step * 2048 / 16), 1);
    }
    hopper::wgmma_commit();
  }

  // What scores are relative to, half of it in each block.
  __device__ float base(int half) const {
    return largest[half] == kLowest ? 0 : largest[half];
  }

  // This block's part of the scores of tile t, times log2 e and relative to base(), into `own` and
  // to the twin. Parts are fp16 (links between blocks carry some 14 B a cycle), in both blocks, so
  // that both find the same weights.
  __device__ void send(const float (&s)[kScores], Words& own, std::uint32_t t) {
    if (thread == 0) hopper::barrier_expect(&shared.partial_full[group], Memory::kPartialBytes);
    const int other = 1 - block_of_pair();
    const std::uint32_t twin_partial =
        address_in(hopper::shared_address(&shared.partial[group][0][thread]), other);
    const std::uint32_t twin_full =
        address_in(hopper::shared_address(&shared.partial_full[group]), other);
    const float offset[2] = {-0.5f * base(0), -0.5f * base(1)};
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const __half2 two = __floats2half2_rn(fmaf(s[2 * i], scale, offset[i % 2]),
                                            fmaf(s[2 * i + 1], scale, offset[i % 2]));
      own[i] = *reinterpret_cast<const std::uint32_t*>(&two);
    }
    wait(&shared.partial_empty[group], (t % 2) ^ 1);
#pragma unroll
    for (int i = 0; i < kWords; i += 4) {
      store_remote(twin_partial + static_cast<unsigned>(i * kGroupThreads * 4), twin_full, own[i],
                   own[i + 1], own[i + 2], own[i + 3]);
    }
  }

  // Parts of the scores of tile t to weights, in place, as bf16; whether sums over earlier tiles
  // must be multiplied by `factor`.
  __device__ bool weigh(Words& w, std::uint32_t t) {
    wait(&shared.partial_full[group], t % 2);
#pragma unroll
    for (int i = 0; i < kWords; i += 4) {
      const uint4 part = shared.partial[group][i / 4][thread];
      w[i] = add_halves(w[i], part.x);
      w[i + 1] = add_halves(w[i + 1], part.y);
      w[i + 2] = add_halves(w[i + 2], part.z);
      w[i + 3] = add_halves(w[i + 3], part.w);
    }
    const std::uint64_t seen = shared.seen[group][ring][Ring<kStages>::stage(t)];
    constexpr std::uint64_t kAll = ~std::uint64_t{0} >> (64 - kKeys);
    if ((seen & kAll) != kAll) {
      const std::uint64_t mine = seen >> (2 * (thread % 4));
#pragma unroll
      for (int i = 0; i < kWords; ++i) {
        const auto bits = static_cast<std::uint32_t>(mine >> (i / 2 * 8));
        if ((bits & 1) == 0) w[i] = (w[i] & 0xffff0000u) | 0xfc00u;  // minus infinity
        if ((bits & 2) == 0) w[i] = (w[i] & 0xffffu) | 0xfc000000u;
      }
    }
    bool changed = false;
    __half2 shift[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      __half2 most = as_halves(w[half]);
#pragma unroll
      for (int i = 2 + half; i < kWords; i += 2) most = __hmax2(most, as_halves(w[i]));
      float top = fmaxf(__low2float(most), __high2float(most));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
      top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
      const float before = base(half);
      factor[half] = 1;
      shift[half] = __float2half2_rn(0);
      if (before + top > largest[half] + kSlack) {
        shift[half] = __float2half2_rn(-top);
        const float now = before - __low2float(shift[half]);
        factor[half] = power_of_two(largest[half] - now);
        largest[half] = now;
        changed = true;
      }
    }
    changed = __any_sync(~0u, changed);  // every lane has used what it read
    if (first_lane()) arrive_remote(&shared.partial_empty[group], 1 - block_of_pair());
    if (changed) {
#pragma unroll
      for (int i = 0; i < kWords; ++i) {
        const __half2 moved = __hadd2(as_halves(w[i]), shift[i % 2]);
        w[i] = *reinterpret_cast<const std::uint32_t*>(&moved);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float part = 0;
#pragma unroll
      for (int i = half; i < kWords; i += 2) {
        const float2 two = __half22float2(as_halves(w[i]));
        const float a = power_of_two(two.x);
        const float b = power_of_two(two.y);
        part += a + b;
        w[i] = pack_two(a, b);
      }
      sum[half] = fmaf(sum[half], factor[half], part);
    }
    return changed;
  }

  __device__ void rescale(float (&o)[kHalfDim / 2]) {
#pragma unroll
    for (int i = 0; i < kHalfDim / 2; ++i) o[i] *= factor[i / 2 % 2];
  }

  // Weights become operands by an instruction of their own, which must stay behind the wait for the
  // product before: the compiler would otherwise compute them in the operand's registers, and run
  // one product after the other for that.
  __device__ void move(Words& to, const Words& from) const {
    const std::uint32_t all_bytes = scale > 0 ? 0x3210 : 0;  // not known to the compiler
#pragma unroll
    for (int i = 0; i < kWords; ++i) to[i] = __byte_perm(from[i], 0, all_bytes);
  }

  // All tiles of an item: weighted sums of this warpgroup's rows over this block's channels.
  __device__ void item(int tiles, int q_parity, float (&o)[kHalfDim / 2]) {
    float s[kScores];
    Words p, w, own;
#pragma unroll
    for (float& x : o) x = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      largest[half] = kLowest;
      sum[half] = 0;
    }

    wait(&shared.q_full, static_cast<std::uint32_t>(q_parity));
    hopper::fence_async_shared();
    wait_tile(tile);
    hopper::pin(s);
    hopper::wgmma_fence();
    issue_scores(s, tile);
    hopper::wgmma_wait<0>();
    hopper::pin(s);
    send(s, p, tile);
    if (tiles > 1) {
      wait_tile(tile + 1);
      hopper::pin(s);
      hopper::wgmma_fence();
      issue_scores(s, tile + 1);
      weigh(p, tile);
      hopper::wgmma_wait<0>();
      hopper::pin(s);
      if (tiles == 2) release_queries();
      send(s, w, tile + 1);
    } else {
      release_queries();
      weigh(p, tile);
    }

    for (int left = tiles; left > 2; --left, ++tile) {
      wait_tile(tile + 2);
      hopper::pin(s);
      hopper::pin(o);
      hopper::wgmma_fence();
      issue_scores(s, tile + 2);
      issue_output(o, p, tile);
      const bool changed = weigh(w, tile + 1);
      hopper::wgmma_wait<1>();
      hopper::pin(s);
      if (left == 3) release_queries();
      send(s, own, tile + 2);
      hopper::wgmma_wait<0>();
      hopper::pin(o);
      release_tile(tile);
      if (changed) rescale(o);
      move(p, w);
#pragma unroll
      for (int i = 0; i < kWords; ++i) w[i] = own[i];
    }
    if (tiles > 1) {
      hopper::pin(o);
      hopper::wgmma_fence();
      issue_output(o, p, tile);
      const bool changed = weigh(w, tile + 1);
      hopper::wgmma_wait<0>();
      hopper::pin(o);
      release_tile(tile);
      if (changed) rescale(o);
      move(p, w);
      ++tile;
    }
    hopper::pin(o);
    hopper::wgmma_fence();
    issue_output(o, p, tile);
    hopper::wgmma_wait<0>();
    hopper::pin(o);
    release_tile(tile);
    ++tile;
  }

  // `out` and `lse` of this warpgroup's first row and this block's channels.
  __device__ void finish(const float (&o)[kHalfDim / 2], const float* sink, Bf16* out, float* lse,
                         bool write) {
    const int lane = thread % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = thread / 32 * 16 + half * 8 + lane / 4;
      float all = sum[half];
      all += __shfl_xor_sync(~0u, all, 1);
      all += __shfl_xor_sync(~0u, all, 2);
      const float inverse = 1.0f / (all + exp2f(fmaf(sink[row], kLog2e, -largest[half])));
      if (write && lse != nullptr && lane % 4 == 0) {
        lse[row] = (largest[half] + log2f(all)) * kLn2;
      }
      Bf16* const to = out + static_cast<std::int64_t>(row) * kHeadDim + lane % 4 * 8;
#pragma unroll
      for (int j = 0; j < kHalfDim / 8; j += 4) {
        std::uint32_t word[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          word[i] = pack_two(o[4 * (j + i) + 2 * half] * inverse,
                             o[4 * (j + i) + 2 * half + 1] * inverse);
        }
        const uint4 piece = transpose_quad(word[0], word[1], word[2], word[3], lane);
        if (write) *reinterpret_cast<uint4*>(to + j * 8) = piece;
      }
    }
  }
};

// ---- queries ----

// Of each half of an item's query rows those from `first` on in steps of `step`, by one warp.
template <class Memory>
__device__ void fetch_queries(const Args& args, Memory& shared, const Item& item, int cta,
                              int first, int step, std::uint32_t empty_parity) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  wait(&shared.q_empty, empty_parity);
  const bool two_tokens = args.heads == kRowsOfHalf;
#pragma unroll 1
  for (int group = 0; group < kMathGroups; ++group) {
    const bool present = !two_tokens || group < item.tokens;
    const int token = item.first_token + (two_tokens && present ? group : 0);
    const Bf16* from = args.q + token * args.q_stride + cta * kHalfDim + lane * 8 +
                       ((two_tokens ? 0 : group * kRowsOfHalf) + first) * kHeadDim;
    const std::uint32_t to = hopper::shared_address(&shared.q[group][0][0]);
#pragma unroll 1
    for (int row = first; row < kRowsOfHalf; row += step) {
      const int at = piece_offset(row, lane, kRowsOfHalf * kPlaneBytes);
      hopper::cp_async_16_or_zero(to + static_cast<unsigned>(at), from, present);
      from += step * kHeadDim;
    }
  }
  hopper::cp_async_arrive(&shared.q_full);
}

// ---- the kernel ----

// Where a math warpgroup's rows of an item lie. Without a second token it repeats the first one's
// work and writes nothing.
struct Place {
  Item item;
  int token, head;
  std::int64_t row;  // of args.lse
  bool write;

  __device__ Place(const Args& args, int index, int group) {
    const int per_item = tokens_per_item(args.heads);
    item = item_at(args.batch, per_item, index);
    const int ahead = per_item == 2 ? group : 0;
    write = ahead < item.tokens;
    token = item.first_token + (write ? ahead : 0);
    head = per_item == 2 ? 0 : group * kRowsOfHalf;
    row = static_cast<std::int64_t>(token) * args.heads + head;
  }
};

// `Source` says what a tile is and fetches it:
//   kKeys, kRings, kStages
//   kFencedTiles                           whether tiles arrive by cp.async
//   kQueryWarps, kFullArrivals             warps of fetch_queries; arrivals at tile_full
//   kMathRegisters, kFetchRegisters        2 and 1 times of which are 504 at most: what 384 threads
//                                          of 168 registers have
//   items, scale (times log2 e)
//   tiles(args, item, token)
//   fetch(args, shared, cta, pair, pairs, warp)   all items, by a warp of the fetching warpgroup
template <class Source>
__global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(kThreads, 1)
    attend(const Args args, const Source source) {
  using Memory = Shared<Source::kKeys, Source::kRings, Source::kStages>;
  extern __shared__ __align__(1024) std::uint8_t bytes[];
  Memory& shared = *reinterpret_cast<Memory*>(bytes);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int pair = static_cast<int>(blockIdx.x / 2);
  const int pairs = static_cast<int>(gridDim.x / 2);
  if (threadIdx.x == 0) {
    constexpr int kMathWarps = kMathGroups * kGroupWarps;
    hopper::barrier_init(&shared.q_full, 32 * Source::kQueryWarps);
    hopper::barrier_init(&shared.q_empty, kMathWarps);
    for (int ring = 0; ring < Source::kRings; ++ring) {
      for (int stage = 0; stage < Source::kStages; ++stage) {
        hopper::barrier_init(&shared.tile_full[ring][stage], Source::kFullArrivals);
        hopper::barrier_init(&shared.tile_empty[ring][stage], kMathWarps / Source::kRings);
      }
    }
    for (int group = 0; group < kMathGroups; ++group) {
      hopper::barrier_init(&shared.partial_full[group], 1);
      hopper::barrier_init(&shared.partial_empty[group], kGroupWarps);
    }
    hopper::barrier_init_fence();
  }
  __syncthreads();
  hopper::cluster_sync();

  if (warp >= kMathGroups * kGroupWarps) {
    hopper::registers_decrease<Source::kFetchRegisters>();
    source.fetch(args, shared, block_of_pair(), pair, pairs, warp - kMathGroups * kGroupWarps);
    __syncwarp();
  } else {
    hopper::registers_increase<Source::kMathRegisters>();
    const int group = warp / kGroupWarps;
    Maths<Source::kKeys, Source::kRings, Source::kStages, Source::kFencedTiles> maths(shared, group,
                                                                                      source.scale);
    // An item's number and the parity of its queries, in one register.
    for (int turn = 2 * pair; turn / 2 < source.items; turn += 2 * pairs) {
      const Place before(args, turn / 2, group);
      if (before.item.tokens == 0) continue;
      float o[kHalfDim / 2];
      maths.item(source.tiles(args, before.item, before.token), turn % 2, o);
      turn ^= 1;
      const Place place(args, turn / 2, group);  // anew: registers are short in between
      const int cta = block_of_pair();
      maths.finish(o, args.sink + place.head, args.out + place.row * kHeadDim + cta * kHalfDim,
                   args.lse == nullptr || cta != 0 ? nullptr : args.lse + place.row, place.write);
    }
  }
  hopper::cluster_sync();  // the other block may still write into this one
}

template <class Source>
void launch_attend(const Args& args, const Source& source, cudaStream_t stream) {
  using Memory = Shared<Source::kKeys, Source::kRings, Source::kStages>;
  int device = 0, processors = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  V4CAP_CUDA(cudaFuncSetAttribute(attend<Source>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Memory))));
  const int pairs = processors / 2 < source.items ? processors / 2 : source.items;
  attend<Source>
      <<<static_cast<unsigned>(2 * pairs), kThreads, sizeof(Memory), stream>>>(args, source);
  V4CAP_LAUNCHED("attention prefill");
}

}  // namespace v4cap::kernels::attention::prefill
