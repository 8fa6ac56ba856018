// The k largest of a row that streams by: what may still belong to them collects in shared memory.
// When the room for a tile is short, the candidates shrink to the k largest so far, and only scores
// above the smallest of those are of interest from then on. Equal scores are thus never collected
// once k of them are there.
#pragma once

#include "kernels/topk/launch.h"
#include "kernels/topk/select.cuh"

namespace v4cap::kernels::topk {

template <int kCapacity, int kMostK>
struct StreamState {
  Candidates<kCapacity, kMostK> candidates;
  SelectScratch scratch;
  int warp_counts[2][32];
};

// Of `length` > k scores; `score_at(i)` and `place_at(i)` give one and the position to report for
// it. Called by all threads; writes k places to `selected`.
template <int kThreads, int kPerThread, int kCapacity, int kMostK, class ScoreAt, class PlaceAt>
__device__ inline void stream_largest(StreamState<kCapacity, kMostK>& shared, int length, int k,
                                      const ScoreAt& score_at, const PlaceAt& place_at,
                                      std::int32_t* selected) {
  constexpr int kTile = kThreads * kPerThread;
  constexpr int kWarps = kThreads / 32;
  static_assert(kMostK + kTile <= kCapacity);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const auto load_tile = [&](int tile, float(&values)[kPerThread]) {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = tile * kTile + i * kThreads + thread;
      values[i] = at < length ? score_at(at) : 0.0f;
    }
  };
  const int tiles = (length + kTile - 1) / kTile;
  const int step = tile_step(tiles);
  int count = 0, tile = 0, turn = 0;
  float bound = 0;
  bool bounded = false;  // until k candidates have been met, everything is one
  const auto range = [&] {
    return range_of<kThreads>(shared.candidates.keys, count, shared.scratch);
  };
  clear_bins<kThreads>(shared.scratch);
  float next[kPerThread];
  load_tile(tile, next);
  for (int visit = 0; visit < tiles; ++visit) {
    const int base = tile * kTile + thread;
    float values[kPerThread];
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) values[i] = next[i];
    tile += step;
    if (tile >= tiles) tile -= tiles;
    if (visit + 1 < tiles) load_tile(tile, next);
    while (true) {
      std::uint32_t wanted = 0;
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
        if (base + i * kThreads < length && (!bounded || values[i] > bound)) wanted |= 1u << i;
      }
      const int own = __popc(wanted);
      int before = 0;
      // Two sets of counts in turn: a warp may be one synchronisation ahead of another.
      int(&counts)[32] = shared.warp_counts[turn];
      turn ^= 1;
      const bool any = __any_sync(~0u, own != 0);
      if (any) {
        before = own;
#pragma unroll
        for (int offset = 1; offset < 32; offset *= 2) {
          const int other = __shfl_up_sync(~0u, before, offset);
          if (lane >= offset) before += other;
        }
      }
      if (lane == 31) counts[warp] = before;
      __syncthreads();
      const int of_warp = lane < kWarps ? counts[lane] : 0;
      const int all = __reduce_add_sync(~0u, of_warp);
      if (count + all <= kCapacity) {
        if (any) {
          int to = count + before - own + __reduce_add_sync(~0u, lane < warp ? of_warp : 0);
#pragma unroll
          for (int i = 0; i < kPerThread; ++i) {
            if ((wanted >> i & 1u) != 0) {
              shared.candidates.keys[to] = key_of(values[i]);
              shared.candidates.places[to] = place_at(base + i * kThreads);
              ++to;
            }
          }
        }
        count += all;
        break;
      }
      // There is room for a whole tile beside k candidates: the next attempt succeeds.
      bound =
          score_of(keep_largest<kThreads>(shared.candidates, count, k, range(), shared.scratch));
      bounded = true;
      count = k;
    }
  }
  __syncthreads();
  keep_largest<kThreads>(shared.candidates, count, k, range(), shared.scratch, selected);
}

}  // namespace v4cap::kernels::topk
