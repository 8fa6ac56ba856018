// The gathering side of sm90a_decode: what a thread block holds in shared memory, and the warps
// that find the entries of a token's list, dequantise them and hand them on in buffers of 64.
#pragma once

#include <cstddef>

#include "kernels/attention/attention.h"
#include "kernels/attention/launch.h"
#include "kernels/cuda/hopper.cuh"

namespace v4cap::kernels::attention::sm90a {

constexpr int kThreads = 512;
constexpr int kProducerWarps = 8;
constexpr int kRowsPerWarp = kListBlock / kProducerWarps;  // in a pair: of both blocks' warps
constexpr int kTileBytes = kListBlock * 128;               // 64 rows of 64 channels
constexpr int kTiles = kHeadDim / 64;
constexpr int kBufferBytes = kTiles * kTileBytes;
constexpr int kHalf = kHeadDim / 2;  // channels of an output warpgroup
// Of the 4 x 128 registers that a block of this size is given.
template <int kCtas>
constexpr int kMathRegisters = kCtas == 1 ? 192 : 200;
template <int kCtas>
constexpr int kProducerRegisters = 256 - kMathRegisters<kCtas>;

// Where an entry lies.
struct alignas(16) Place {
  const std::uint8_t* data = nullptr;
  std::int32_t to_scales = 0;  // bytes from there
  std::int32_t present = 0;
};

// The token of a block. Producers have no registers to keep it in.
struct List {
  std::int32_t token, sequence, window_first, window, extra;
};

struct Shared {
  alignas(1024) std::uint8_t q[kBufferBytes];
  std::uint8_t weights[kTileBytes];
  std::uint8_t kv[2][kBufferBytes];
  float factor[kHeadGroup];
  List list;
  Place places[kProducerWarps][2][kRowsPerWarp];
  alignas(8) std::uint8_t present[2][kProducerWarps];  // a bit for each entry of the buffer
  std::uint64_t filled[2], emptied[2], weighed, multiplied;
};

// Gives a buffer back, to this block's producers and, in a cluster, to the other's. By one warp.
template <int kCtas>
__device__ inline void release(std::uint64_t* emptied, int rank, int lane) {
  if (lane == 0) hopper::barrier_arrive(emptied);
  if (kCtas > 1 && lane == 1) hopper::barrier_arrive_remote_after_reads(emptied, rank ^ 1);
}

// Byte of 16-byte chunk `chunk` (of 64) of a row in tiles.
__device__ inline int tiled(int row, int chunk) {
  return chunk / 8 * kTileBytes + row * 128 + ((chunk % 8) ^ (row % 8)) * 16;
}

// A number that the compiler takes for a new one here: what follows from it (descriptors,
// addresses) is then not computed before a loop, where it would hold more registers than there are.
__device__ inline std::uint64_t made_here(std::uint64_t x) {
  asm volatile("" : "+l"(x));
  return x;
}
__device__ inline int made_here(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// Entries are found over three blocks of the list, so that neither an entry's number nor its page
// is waited for: lane i follows row i of its warp. Numbers of window entries carry a mark; -1:
// none.
constexpr std::int32_t kInWindow = 1 << 30;

__device__ inline std::int32_t find_entry(const Args& args, const List& list, int index) {
  if (index < list.window) return (list.window_first + index) | kInWindow;
  index -= list.window;
  if (index >= list.extra) return -1;
  if (args.kind != Kind::csa) return index;
  return __ldg(args.selected + static_cast<std::int64_t>(list.token) * args.top_k + index);
}

// Pages hold 2^n entries: divisions would cost a producer as much as dequantising.
__device__ inline int page_shift(const KvPool& pool) {
  return __ffs(pool.page_entries) - 1;
}

__device__ inline std::int32_t find_page(const Args& args, const List& list, std::int32_t entry) {
  if (entry < 0) return 0;
  const bool in_window = (entry & kInWindow) != 0;
  const PageTable& table = in_window ? args.window_pages : args.extra_pages;
  std::int32_t page = (entry & ~kInWindow) >> page_shift(in_window ? args.window : args.extra);
  if (page >= table.length) page %= table.length;
  return __ldg(table.pages + static_cast<std::int64_t>(list.sequence) * table.stride + page);
}

// What an absent entry loads is not used, but has to be somewhere.
__device__ inline Place find_place(const Args& args, std::int32_t entry, std::int32_t page) {
  if (entry < 0) return {args.window.base, 0, 0};
  const KvPool& pool = (entry & kInWindow) != 0 ? args.window : args.extra;
  const int offset = entry & (pool.page_entries - 1);
  return {pool.data(page, offset),
          (pool.page_entries - offset) * kEntryDataBytes + offset * kEntryScaleBytes, 1};
}

// By ordinary prefetches: of the bulk ones a warp issues one lane's after the other's.
__device__ inline void prefetch(const Place& entry) {
  if (entry.present == 0) return;
#pragma unroll
  for (int i = 0; i < kEntryDataBytes; i += 64) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(entry.data + i) : "memory");
  }
  asm volatile("prefetch.global.L2 [%0];" ::"l"(entry.data + entry.to_scales) : "memory");
}

// What a lane holds of an entry's codes: 8 of chunk `lane` and, lanes below 24, of chunk 32 + lane.
struct Codes {
  uint2 first, second;
  std::uint8_t first_scale, second_scale;
};

__device__ inline Codes load_codes(const Place& place, int lane) {
  const std::uint8_t* data = place.data + 8 * lane;
  const std::uint8_t* scale = place.data + place.to_scales + lane / 8;
  // Lanes 24 and up load from the tail and do not use it: no branch, no wait at its end.
  return {__ldg(reinterpret_cast<const uint2*>(data)),
          __ldg(reinterpret_cast<const uint2*>(data + 256)), __ldg(scale), __ldg(scale + 4)};
}

__device__ inline std::uint32_t multiply_pair(std::uint32_t pair, std::uint32_t factor) {
  std::uint32_t product;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(product) : "r"(pair), "r"(factor));
  return product;
}

// Four codes as bf16. Their bits, moved into place, are the number times 2^-120; a product makes it
// right, subnormal codes too, without a conversion instruction, and the scale is another. All
// exact.
__device__ inline void dequantise_four(std::uint32_t codes, std::uint32_t scale, std::uint32_t& low,
                                       std::uint32_t& high) {
  constexpr std::uint32_t k2To120 = (127 + 120) << 7;
  const std::uint32_t upper = (codes & 0x80808080u) | ((codes >> 4) & 0x07070707u);
  const std::uint32_t lower = (codes << 4) & 0xf0f0f0f0u;
  low = multiply_pair(__byte_perm(lower, upper, 0x5140), k2To120 * 0x10001u);
  high = multiply_pair(__byte_perm(lower, upper, 0x7362), k2To120 * 0x10001u);
  low = multiply_pair(low, scale);
  high = multiply_pair(high, scale);
}

__device__ inline uint4 dequantise_eight(uint2 codes, std::uint8_t scale) {
  const std::uint32_t pair = scale * 0x00800080u;  // UE8M0 is bf16's exponent
  uint4 out;
  dequantise_four(codes.x, pair, out.x, out.y);
  dequantise_four(codes.y, pair, out.z, out.w);
  return out;
}

// In a cluster of two blocks each dequantises half of the rows and copies them to the other.
template <int kCtas>
__device__ inline void produce(Shared& shared, const Args& args, const ListRange& range, int rank,
                               int warp, int lane) {
  constexpr int kEntries = kRowsPerWarp / kCtas;
  constexpr int kAhead = 2;  // entries whose loads are under way
  const int first = rank * kEntries;
  const bool own = lane >= first && lane < first + kEntries;
  const auto find = [&](int block) {
    if (block >= range.end || lane >= kRowsPerWarp) return std::int32_t{-1};
    return find_entry(args, shared.list, block * kListBlock + warp * kRowsPerWarp + lane);
  };
  const auto place = [&](std::int32_t entry, std::int32_t page, int parity) {
    if (!own) return;
    const Place found = find_place(args, entry, page);
    prefetch(found);
    shared.places[warp][parity][lane] = found;
  };
  std::int32_t now = find(range.first), next = find(range.first + 1);
  place(now, own ? find_page(args, shared.list, now) : 0, range.first % 2);
  std::int32_t page = own ? find_page(args, shared.list, next) : 0;
  std::int32_t later = find(range.first + 2);

  hopper::RingPosition<2> ring;
  for (int block = range.first; block < range.end; ++block, ring.advance()) {
    __syncwarp();
    place(next, page, (block + 1) % 2);
    const unsigned present = __ballot_sync(~0u, now >= 0);
    now = next;
    next = later;
    page = own ? find_page(args, shared.list, next) : 0;
    later = find(block + 3);

    const Place* places = shared.places[warp][block % 2] + first;
    const int here = made_here(lane);
    Codes codes[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) codes[i] = load_codes(places[i], here);
    hopper::barrier_wait(&shared.emptied[ring.stage], ring.parity ^ 1);
    if (lane == 0) shared.present[ring.stage][warp] = static_cast<std::uint8_t>(present);
    std::uint8_t* buffer = shared.kv[ring.stage];
    const int row0 = warp * kRowsPerWarp + first;
    uint4 tail = {};
#pragma unroll
    for (int i = 0; i < kEntries; ++i) {
      // The bf16 tails of four entries at a time: a chunk for each lane.
      const int four = i / 4 * 4 + here / 8;
      if (i % 4 == 0) {
        tail =
            __ldg(reinterpret_cast<const uint4*>(places[four].data + kNopeDim + 16 * (here % 8)));
      }
      uint4 chunk = dequantise_eight(codes[i % kAhead].first, codes[i % kAhead].first_scale);
      uint4 chunk2 = dequantise_eight(codes[i % kAhead].second, codes[i % kAhead].second_scale);
      if ((present >> (first + i) & 1u) == 0) chunk = chunk2 = {0, 0, 0, 0};
      if (i + kAhead < kEntries) codes[i % kAhead] = load_codes(places[i + kAhead], here);
      *reinterpret_cast<uint4*>(buffer + tiled(row0 + i, here)) = chunk;
      if (here < 24) *reinterpret_cast<uint4*>(buffer + tiled(row0 + i, 32 + here)) = chunk2;
      if (i % 4 == 3) {
        if ((present >> (first + four) & 1u) == 0) tail = {0, 0, 0, 0};
        *reinterpret_cast<uint4*>(buffer + tiled(row0 + four, kNopeDim / 8 + here % 8)) = tail;
      }
    }
    hopper::fence_async_shared();
    __syncwarp();
    std::uint64_t* filled = &shared.filled[ring.stage];
    if constexpr (kCtas == 1) {
      if (lane == 0) hopper::barrier_arrive(filled);
    } else {
      // The other block's warp of this number sends as much.
      constexpr int kBytes = kEntries * 128;  // of a tile
      if (lane == 0) hopper::barrier_expect(filled, kTiles * kBytes);
      if (lane < kTiles) {
        hopper::bulk_copy_to_cta(buffer + lane * kTileBytes + row0 * 128, kBytes, filled, rank ^ 1);
      }
    }
  }
}

}  // namespace v4cap::kernels::attention::sm90a
