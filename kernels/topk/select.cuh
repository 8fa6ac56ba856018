// Exact selection inside a block. Scores are compared as 32-bit keys in the order of the numbers.
//
// The k-th largest key is narrowed down by histograms of 256 bins over the range that it must lie
// in, first [smallest, largest]: three or four rounds, whatever the distribution. Only the rounds'
// counts are formed by atomics; what is kept, and where, follows from prefix sums, so that an input
// gives the same bits on every run.
#pragma once

#include <cstdint>

#include "kernels/formats/numbers.h"

namespace v4cap::kernels::topk {

inline constexpr int kBins = 256;

__device__ inline std::uint32_t key_of(float x) {
  const std::uint32_t bits = bits_of(x);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float score_of(std::uint32_t key) {
  return float_of_bits((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

// Where the keys lie that are looked at.
struct Range {
  std::uint32_t smallest, largest;
};

// Keys above `low`, and as many of those equal to it as `ties` says, are the ones sought.
struct Threshold {
  std::uint32_t low;
  int ties;
};

struct SelectScratch {
  alignas(16) int bins
      [kBins];  // zeros outside find_threshold, once clear_bins and a synchronisation are done
  std::uint32_t smallest[32], largest[32];
  Threshold found;
  std::uint32_t range_low, range_high;
  int wanted;
  bool done;
  int counts[2][32];
};

template <int kThreads>
__device__ inline void clear_bins(SelectScratch& scratch) {
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kThreads) scratch.bins[i] = 0;
}

template <int kThreads>
__device__ inline Range range_of(const std::uint32_t* keys, int count, SelectScratch& scratch) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  std::uint32_t smallest = ~0u, largest = 0;
  for (int i = thread; i < count; i += kThreads) {
    smallest = min(smallest, keys[i]);
    largest = max(largest, keys[i]);
  }
  smallest = __reduce_min_sync(~0u, smallest);
  largest = __reduce_max_sync(~0u, largest);
  if (lane == 0) {
    scratch.smallest[warp] = smallest;
    scratch.largest[warp] = largest;
  }
  __syncthreads();
  constexpr int kWarps = kThreads / 32;
  return {__reduce_min_sync(~0u, scratch.smallest[lane % kWarps]),
          __reduce_max_sync(~0u, scratch.largest[lane % kWarps])};
}

// Of `count` keys in shared memory, at least k of them in `range` and none above it. Every thread
// gets the result. With `slack` the threshold may let up to that many more than k keys through.
template <int kThreads>
__device__ Threshold find_threshold(const std::uint32_t* keys, int count, int k, Range range,
                                    int slack, SelectScratch& scratch) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  std::uint32_t smallest = range.smallest, largest = range.largest;
  int wanted = k;
  while (true) {
    if (smallest == largest) return {smallest, wanted};
    const int shift = max(0, 24 - __clz(static_cast<int>(largest - smallest)));
    for (int i = thread; i < count; i += kThreads) {
      const std::uint32_t key = keys[i];
      if (key >= smallest && key <= largest) atomicAdd(&scratch.bins[(key - smallest) >> shift], 1);
    }
    __syncthreads();
    if (warp == 0) {
      // Lane l has the bins 8 (31 - l) .. 8 (31 - l) + 7: the largest keys come first.
      constexpr int kPerLane = 8;
      static_assert(kBins == 32 * kPerLane);
      const int first = kPerLane * (31 - lane);
      int4* bins = reinterpret_cast<int4*>(&scratch.bins[first]);
      const int4 low_half = bins[0], high_half = bins[1];
      bins[0] = bins[1] = {0, 0, 0, 0};
      const int own[kPerLane] = {low_half.x,  low_half.y,  low_half.z,  low_half.w,
                                 high_half.x, high_half.y, high_half.z, high_half.w};
      const int sum = own[0] + own[1] + own[2] + own[3] + own[4] + own[5] + own[6] + own[7];
      int before = sum;
#pragma unroll
      for (int offset = 1; offset < 32; offset *= 2) {
        const int other = __shfl_up_sync(~0u, before, offset);
        if (lane >= offset) before += other;
      }
      before -= sum;
      if (before < wanted && wanted <= before + sum) {
        int bin = kPerLane - 1;
#pragma unroll
        for (int i = kPerLane - 1; i > 0; --i) {
          if (bin == i && before + own[i] < wanted) {
            before += own[i];
            --bin;
          }
        }
        int inside = 0;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) inside = i == bin ? own[i] : inside;
        const std::uint32_t low = smallest + (static_cast<std::uint32_t>(first + bin) << shift);
        scratch.range_low = low;
        scratch.range_high = min(largest, low + ((1u << shift) - 1));
        scratch.wanted = wanted - before;
        // The whole bin is taken: the threshold lies just below it, and no tie is left to break.
        scratch.done = inside - (wanted - before) <= slack && low != 0;
      }
    }
    __syncthreads();
    smallest = scratch.range_low;
    largest = scratch.range_high;
    wanted = scratch.wanted;
    if (scratch.done) return {smallest - 1, 0};
  }
}

// Sums of `a` and `b` over the threads before this one, and over all. One synchronisation; another
// has to separate two calls with the same `counts`.
template <int kThreads>
__device__ inline void prefix_sums(int& a, int& b, int& all_a, int& all_b, int (&counts)[2][32]) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  int sum_a = a, sum_b = b;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const int other_a = __shfl_up_sync(~0u, sum_a, offset);
    const int other_b = __shfl_up_sync(~0u, sum_b, offset);
    if (lane >= offset) {
      sum_a += other_a;
      sum_b += other_b;
    }
  }
  if (lane == 31) {
    counts[0][warp] = sum_a;
    counts[1][warp] = sum_b;
  }
  __syncthreads();
  constexpr int kWarps = kThreads / 32;
  const int warp_a = lane < kWarps ? counts[0][lane] : 0;
  const int warp_b = lane < kWarps ? counts[1][lane] : 0;
  all_a = __reduce_add_sync(~0u, warp_a);
  all_b = __reduce_add_sync(~0u, warp_b);
  a = sum_a - a + __reduce_add_sync(~0u, lane < warp ? warp_a : 0);
  b = sum_b - b + __reduce_add_sync(~0u, lane < warp ? warp_b : 0);
}

// Candidates of a row, those of a block in shared memory.
template <int kCapacity, int kMostK>
struct Candidates {
  std::uint32_t keys[kCapacity];
  std::int32_t places[kCapacity];
  std::uint32_t kept_keys[kMostK];
  std::int32_t kept_places[kMostK];
};

// Keeps the k largest of `count` candidates in `range`; thread by thread, so that the order depends
// on the input alone. Returns the k-th largest key. All threads have to have written what they add.
// With `out` the places go there, and the candidates are left as they are.
template <int kThreads, int kCapacity, int kMostK>
__device__ std::uint32_t keep_largest(Candidates<kCapacity, kMostK>& candidates, int count, int k,
                                      Range range, SelectScratch& scratch,
                                      std::int32_t* out = nullptr) {
  const Threshold threshold =
      find_threshold<kThreads>(candidates.keys, count, k, range, 0, scratch);
  const int thread = static_cast<int>(threadIdx.x);
  int above = 0, ties = 0;
  for (int at = thread; at < count; at += kThreads) {
    const std::uint32_t key = candidates.keys[at];
    above += key > threshold.low ? 1 : 0;
    ties += key == threshold.low ? 1 : 0;
  }
  int all_above = 0, all_ties = 0;
  prefix_sums<kThreads>(above, ties, all_above, all_ties, scratch.counts);
  for (int at = thread; at < count; at += kThreads) {
    const std::uint32_t key = candidates.keys[at];
    int to = -1;
    if (key > threshold.low) to = above++;
    if (key == threshold.low) {  // ties stand at the end
      if (ties < threshold.ties) to = all_above + ties;
      ++ties;
    }
    if (to < 0) continue;
    if (out != nullptr) {
      out[to] = candidates.places[at];
    } else {
      candidates.kept_keys[to] = key;
      candidates.kept_places[to] = candidates.places[at];
    }
  }
  __syncthreads();
  if (out == nullptr) {
    for (int at = thread; at < k; at += kThreads) {
      candidates.keys[at] = candidates.kept_keys[at];
      candidates.places[at] = candidates.kept_places[at];
    }
    __syncthreads();
  }
  return threshold.ties > 0 ? threshold.low : threshold.low + 1;
}

}  // namespace v4cap::kernels::topk
