// How the warps of a Hopper version walk over their pieces of work (launch.h), and what they make
// of a product's accumulator. All warps of a block walk alike.
#pragma once

#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/indexer_scores/launch.h"
#include "kernels/indexer_scores/operands.cuh"

namespace v4cap::kernels::indexer_scores {

// The tokens of a piece, one to a lane, and the runs of them that belong to one sequence.
struct Tokens {
  int sequence, visible;
  std::uint32_t starts;

  __device__ Tokens(const Args& args, int first, int count) : sequence(-1), visible(0), starts(0) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (lane < count) {
      sequence = args.batch.sequences == 1 ? 0 : args.batch.sequence_of[first + lane];
      visible = (args.batch.positions[first + lane] + 1) / args.compress_ratio;
    }
    const int before = __shfl_up_sync(~0u, sequence, 1);
    starts = __ballot_sync(~0u, lane < count && (lane == 0 || before != sequence));
  }
};

struct Run {
  int begin_token, end_token;  // of the piece
  int sequence, begin_page, end_page;
};

// Calls body(first token, how many, begin page, end page, Tokens) piece by piece; the same for all
// warps of a block.
template <int kGroupTokens, class Body>
__device__ inline void for_each_piece(const Args& args, const Plan& plan, const Body& body) {
  const int pieces = plan.groups * plan.chunks;
  for (int piece = static_cast<int>(blockIdx.x); piece < pieces;
       piece += static_cast<int>(gridDim.x)) {
    const int first = piece % plan.groups * kGroupTokens;
    const int count = min(kGroupTokens, args.batch.tokens - first);
    const Tokens tokens(args, first, count);
    const int begin_page = piece / plan.groups * plan.pages_per_chunk;
    const int farthest =
        static_cast<int>(__reduce_max_sync(~0u, static_cast<unsigned>(tokens.visible)));
    if (farthest <= begin_page * kKeysPerPage) continue;
    body(first, count, begin_page, begin_page + plan.pages_per_chunk, tokens);
  }
}

// Where the pages of each group begin when all of them lie behind each other; `first_page` has room
// for kMostShareGroups + 1. Called by all threads of a block before anything else; the caller
// synchronises them before for_each_share. A single group needs no table.
template <int kGroupTokens, int kThreads>
__device__ inline void lay_out_groups(const Args& args, int groups, int* first_page) {
  constexpr int kOwn = kMostShareGroups / kThreads;
  static_assert(kMostShareGroups % kThreads == 0);
  __shared__ int warp_pages[kThreads / 32];
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  if (groups == 1) return;
  int pages[kOwn], sum = 0;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int group = thread * kOwn + i;
    int visible = 0;
    for (int t = 0; group < groups && t < kGroupTokens; ++t) {
      const int token = group * kGroupTokens + t;
      if (token < args.batch.tokens) {
        visible = max(visible, (args.batch.positions[token] + 1) / args.compress_ratio);
      }
    }
    pages[i] = (visible + kKeysPerPage - 1) / kKeysPerPage;
    sum += pages[i];
  }
  int before = sum;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const int other = __shfl_up_sync(~0u, before, offset);
    if (lane >= offset) before += other;
  }
  if (lane == 31) warp_pages[warp] = before;
  before -= sum;
  __syncthreads();
  for (int w = 0; w < warp; ++w) before += warp_pages[w];
  if (thread == 0) first_page[0] = 0;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    before += pages[i];
    if (thread * kOwn + i < groups) first_page[thread * kOwn + i + 1] = before;
  }
}

// As for_each_piece, for the block's share of all pages.
template <int kGroupTokens, class Body>
__device__ inline void for_each_share(const Args& args, int groups, const int* first_page,
                                      const Body& body) {
  int of_one = 0;
  if (groups == 1) {
    const Tokens tokens(args, 0, args.batch.tokens);
    const auto visible = __reduce_max_sync(~0u, static_cast<unsigned>(tokens.visible));
    of_one = (static_cast<int>(visible) + kKeysPerPage - 1) / kKeysPerPage;
  }
  const int all = groups == 1 ? of_one : first_page[groups];
  const int share = pages_per_share(all, static_cast<int>(gridDim.x));
  int page = static_cast<int>(blockIdx.x) * share;
  const int end = min(page + share, all);
  int group = 0;  // the last one that does not begin behind `page`
  for (int above = groups; group + 1 < above;) {
    const int middle = (group + above) / 2;
    (first_page[middle] <= page ? group : above) = middle;
  }
  for (; page < end; ++group) {
    const int begin = groups == 1 ? 0 : first_page[group];
    const int stop = min(end, groups == 1 ? all : first_page[group + 1]);
    if (page >= stop) continue;  // no key is visible to the group
    const int first = group * kGroupTokens;
    const int count = min(kGroupTokens, args.batch.tokens - first);
    body(first, count, page - begin, stop - begin, Tokens(args, first, count));
    page = stop;
  }
}

template <class Body>
__device__ inline void for_each_run(const Tokens& tokens, int count, int begin_page, int end_page,
                                    const Body& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint32_t starts = tokens.starts;
  while (starts != 0) {
    Run run{};
    run.begin_token = __ffs(static_cast<int>(starts)) - 1;
    starts &= starts - 1;
    run.end_token = starts == 0 ? count : __ffs(static_cast<int>(starts)) - 1;
    const bool inside = lane >= run.begin_token && lane < run.end_token;
    const int most = static_cast<int>(
        __reduce_max_sync(~0u, inside ? static_cast<unsigned>(tokens.visible) : 0u));
    run.sequence = __shfl_sync(~0u, tokens.sequence, run.begin_token);
    run.begin_page = begin_page;
    run.end_page = min(end_page, (most + kKeysPerPage - 1) / kKeysPerPage);
    if (run.begin_page < run.end_page) body(run);
  }
}

// The weights of a token's heads that a thread's columns of the accumulator belong to; of odd
// columns the half (weigh).
template <KeyFormat kFormat>
__device__ inline void read_weights(const Args& args, int token, bool inside, int quad,
                                    float (&weights)[16]) {
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    float2 w = {0, 0};
    if (inside) {
      const std::int64_t at = std::int64_t{token} * kIndexHeads + 8 * j + 2 * quad;
      w = *reinterpret_cast<const float2*>(args.weights + at);
      w.x *= query_scale<kFormat>(args.q_scales, at);
      w.y *= query_scale<kFormat>(args.q_scales, at + 1);
    }
    weights[2 * j] = w.x;
    weights[2 * j + 1] = 0.5f * w.y;
  }
}

// sum_h w_h max(0, d_h) of the thread's two rows, over its columns of a token's 64, whose
// accumulators begin at kFirst. Maxima go to a unit of half the rate; every other one is formed as
// (x + |x|) / 2 by an addition instead, which is as exact.
template <int kFirst, int kCount>
__device__ inline void weigh(const float (&d)[kCount], const float (&w)[16], float& upper,
                             float& lower) {
  float sum[2][2] = {};
#pragma unroll
  for (int j = 0; j < 8; ++j) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float even = d[kFirst + 4 * j + 2 * half], odd = d[kFirst + 4 * j + 2 * half + 1];
      sum[half][0] = fmaf(fmaxf(even, 0.0f), w[2 * j], sum[half][0]);
      sum[half][1] = fmaf(odd + fabsf(odd), w[2 * j + 1], sum[half][1]);
    }
  }
  upper = sum[0][0] + sum[0][1];
  lower = sum[1][0] + sum[1][1];
}

// Adds up over a quad of threads; a thread is left with row 8 * (quad % 2).
__device__ inline float add_rows(float upper, float lower, int quad) {
  const bool odd = quad % 2 != 0;
  const float own = odd ? lower : upper;
  return own + __shfl_xor_sync(~0u, odd ? upper : lower, 1);
}
__device__ inline float add_quad(float upper, float lower, int quad) {
  const float own = add_rows(upper, lower, quad);
  return own + __shfl_xor_sync(~0u, own, 2);
}
// The same of two tokens: threads 0 and 1 of a quad are left with the first, 2 and 3 with the
// second.
__device__ inline float add_quad_of_two(float upper0, float lower0, float upper1, float lower1,
                                        int quad) {
  const float own0 = add_rows(upper0, lower0, quad), own1 = add_rows(upper1, lower1, quad);
  const bool second = quad >= 2;
  return (second ? own1 : own0) + __shfl_xor_sync(~0u, second ? own0 : own1, 2);
}

}  // namespace v4cap::kernels::indexer_scores
