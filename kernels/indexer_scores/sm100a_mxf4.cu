// Scores of FP4 keys by Blackwell's products of FP4 with scaled blocks: nothing is expanded.
// Idea    : 128 keys (two pages) are the M side, the 64 heads of one or two tokens N. A row of the
//           sums, the heads of one key, belongs to one thread, which reduces it without exchange.
//           A warp per stage of the ring fills it with keys; one thread issues the products; two
//           groups of four warps reduce alternate sums, of which tensor memory holds three.
// Work    : 64 max and 32 packed FMA a (token, key) on the ordinary lanes: the bound of a prefill.
// Traffic : 68 B a key for every four tokens (decode: one), 4 B a score.
// Never run on a GPU, only on a model of one (tests/kernels/sm100a_model/). Relied on, and read
// only: what blackwell.cuh says of descriptors and scales. Waits end in a trap after 4 s.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/blackwell.cuh"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/indexer_scores/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::indexer_scores {
namespace {

constexpr int kKeys = 2 * kKeysPerPage;   // of a stage
constexpr int kRowBytes = kIndexDim / 2;  // of a key or a query head
constexpr int kStepBytes = 32;            // of a product, 64 channels
constexpr int kSteps = kRowBytes / kStepBytes;
constexpr int kGroupsOfStep = 2;  // of 32 channels, which share a scale
constexpr int kScaleTileBytes = 512;
constexpr int kStages = 7;  // as many as warps that fill them (16 warps in all: 128 registers)
constexpr int kSums = 3;
constexpr int kOverheadPairs = 4;

// Warps 0-7 reduce, in two groups; the next fill stages; the last one issues products.
constexpr int kReducingGroups = 2;
constexpr int kReducingThreads = 128;  // of a group
constexpr int kReducingWarps = kReducingGroups * kReducingThreads / 32;
constexpr int kProductWarp = kReducingWarps + kStages;
constexpr int kThreads = 32 * (kProductWarp + 1);

constexpr int kStageBytes = kKeys * kRowBytes + kScaleTileBytes;

// Columns of tensor memory: sums, scales of keys for each stage, scales of queries.
constexpr int kSumColumns = 128;
constexpr int kKeyScalesColumn = kSums * kSumColumns;
constexpr int kQueryScalesColumn = kKeyScalesColumn + 4 * kStages;
constexpr int kColumns = 512;

// Tokens that a block has at a time, in units of at most two tokens: one product's columns.
template <int kTokens>
struct Cut {
  static constexpr int kTokensOfUnit = kTokens < 2 ? kTokens : 2;
  static constexpr int kUnits = kTokens / kTokensOfUnit;
  static constexpr int kUnitRows = kTokensOfUnit * kIndexHeads;
  static_assert(kQueryScalesColumn + 4 * kUnits <= kColumns);
};

template <int kTokens>
struct Shared {  // stages and queries at multiples of 512 bytes, for their swizzle
  std::uint8_t stages[kStages][kStageBytes];
  std::uint8_t queries[kTokens * kIndexHeads * kRowBytes];
  std::uint8_t query_scales[Cut<kTokens>::kUnits][kScaleTileBytes];
  float weights[kTokens][kIndexHeads];
  int visible[kTokens], sequence[kTokens];
  std::uint64_t full[kStages], empty[kStages];
  std::uint64_t sums_full[kSums], sums_empty[kSums];
  std::uint32_t tensor_memory;
};

static_assert(offsetof(Shared<4>, queries) % 512 == 0 && kStageBytes % 512 == 0);
static_assert(Cut<4>::kUnitRows * kRowBytes % 512 == 0);

// A block's tokens of the moment, and the pairs of pages that it scores for them.
struct Piece {
  int first = 0, tokens = 0;
  int begin = 0, end = 0;
};

// Neighbouring tokens [t0, t1) of one sequence, and the pairs that they can see.
struct Run {
  int t0 = 0, t1 = 0;
  int most = 0;  // visible keys
  int end = 0;
};
template <int kTokens>
__device__ Run run_from(const Shared<kTokens>& shared, const Piece& piece, int t0) {
  Run run{t0, t0, 0, 0};
  do {
    run.most = max(run.most, shared.visible[run.t1]);
    ++run.t1;
  } while (run.t1 < piece.tokens && shared.sequence[run.t1] == shared.sequence[t0]);
  run.end = max(piece.begin, min(piece.end, (run.most + kKeys - 1) / kKeys));
  return run;
}
template <int kTokens>
__device__ bool has_unit(const Run& run, int unit) {
  constexpr int kTokensOfUnit = Cut<kTokens>::kTokensOfUnit;
  return unit * kTokensOfUnit < run.t1 && (unit + 1) * kTokensOfUnit > run.t0;
}

// Where chunk `chunk` of 16 bytes of row `row` lies in the 64-byte swizzle; where the scales of a
// row lie in a tile.
__device__ int swizzled(int row, int chunk) {
  return row * kRowBytes + (chunk ^ (row / 2 % 4)) * 16;
}
__device__ int scales_at(int row) {
  return row % 32 * 16 + row / 32 * 4;
}

// By all threads. Tokens that are missing repeat the last one.
template <int kTokens>
__device__ void load_queries(const Args& args, Shared<kTokens>& shared, const Piece& piece) {
  using C = Cut<kTokens>;
  constexpr int kRows = kTokens * kIndexHeads, kChunks = kRowBytes / 16;
  const int thread = static_cast<int>(threadIdx.x);
  const auto row_of = [&](int row) {
    const int token = piece.first + min(row / kIndexHeads, piece.tokens - 1);
    return std::int64_t{token} * kIndexHeads + row % kIndexHeads;
  };
  for (int i = thread; i < kRows * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    *reinterpret_cast<uint4*>(shared.queries + swizzled(row, chunk)) =
        *reinterpret_cast<const uint4*>(args.q_codes + row_of(row) * kRowBytes + chunk * 16);
  }
  for (int row = thread; row < kRows; row += kThreads) {
    *reinterpret_cast<std::uint32_t*>(shared.query_scales[row / C::kUnitRows] +
                                      scales_at(row % C::kUnitRows)) =
        *reinterpret_cast<const std::uint32_t*>(args.q_scales + row_of(row) * 4);
    shared.weights[row / kIndexHeads][row % kIndexHeads] = args.weights[row_of(row)];
  }
  if (thread < piece.tokens) {
    shared.visible[thread] = (args.batch.positions[piece.first + thread] + 1) / args.compress_ratio;
    shared.sequence[thread] = args.batch.sequence_of[piece.first + thread];
  }
  hopper::fence_async_shared();
}

// What a warp that fills stage `slot` keeps from piece to piece: how many pairs of pages it skips
// before its next one, and the parity of its last emptying.
struct Filler {
  int skip;
  std::uint32_t parity = 1;  // a fresh barrier lets pass
};
template <int kTokens>
__device__ void fill_stages(const Args& args, Shared<kTokens>& shared, const Piece& piece, int slot,
                            int lane, Filler& filler) {
  std::uint8_t* stage = shared.stages[slot];
  const std::uint32_t codes = hopper::shared_address(stage);
  for (int t0 = 0; t0 < piece.tokens;) {
    const Run run = run_from(shared, piece, t0);
    const int sequence = shared.sequence[t0];
    for (; piece.begin + filler.skip < run.end; filler.skip += kStages) {
      const std::int64_t key = std::int64_t{piece.begin + filler.skip} * kKeys;
      // Where nobody sees the second page, the first one stands in for it.
      const std::int64_t second = key + kKeysPerPage < run.most ? key + kKeysPerPage : key;
      const std::uint8_t* pages[2] = {
          args.keys.codes(args.pages.page(sequence, key, kKeysPerPage), 0),
          args.keys.codes(args.pages.page(sequence, second, kKeysPerPage), 0)};
      blackwell::barrier_wait(&shared.empty[slot], filler.parity);
      filler.parity ^= 1;
      std::uint32_t scales[4];  // of keys lane + 32 j
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        scales[j] = *reinterpret_cast<const std::uint32_t*>(
            pages[j / 2] + kKeysPerPage * kRowBytes + (lane + j % 2 * 32) * 4);
      }
      // Eight keys at a time, four lanes each.
#pragma unroll
      for (int i = 0; i < kKeys / 8; ++i) {
        const int row = 8 * i + lane / 4, chunk = lane % 4;
        hopper::cp_async_16(codes + static_cast<std::uint32_t>(swizzled(row, chunk)),
                            pages[i / 8] + row % kKeysPerPage * kRowBytes + chunk * 16);
      }
      hopper::cp_async_commit();
      *reinterpret_cast<uint4*>(stage + kKeys * kRowBytes + scales_at(lane)) =
          make_uint4(scales[0], scales[1], scales[2], scales[3]);
      hopper::cp_async_wait<0>();
      hopper::fence_async_shared();
      hopper::barrier_arrive(&shared.full[slot]);
    }
    filler.skip -= run.end - piece.begin;
    t0 = run.t1;
  }
}

// One thread; what it keeps from piece to piece is the place in the ring and the number of sums.
template <int kTokens>
__device__ void multiply(Shared<kTokens>& shared, const Piece& piece,
                         hopper::RingPosition<kStages>& at, unsigned& turn) {
  using C = Cut<kTokens>;
  const std::uint32_t base = shared.tensor_memory;
  constexpr std::uint32_t kInstruction =
      blackwell::instruction(blackwell::Mxf4::e2m1, blackwell::Mxf4::e2m1, C::kUnitRows);
#pragma unroll
  for (int unit = 0; unit < C::kUnits; ++unit) {
    blackwell::copy_scales(
        base + static_cast<std::uint32_t>(kQueryScalesColumn + 4 * unit),
        blackwell::describe_scales(hopper::shared_address(shared.query_scales[unit])));
  }
  const std::uint64_t queries =
      blackwell::describe_k_major_64(hopper::shared_address(shared.queries));
  for (int t0 = 0; t0 < piece.tokens;) {
    const Run run = run_from(shared, piece, t0);
    for (int pair = piece.begin; pair < run.end; ++pair, at.advance()) {
      blackwell::barrier_wait(&shared.full[at.stage], at.parity);
      blackwell::fence_after_sync();
      const std::uint32_t stage = hopper::shared_address(shared.stages[at.stage]);
      const auto key_scales = base + static_cast<std::uint32_t>(kKeyScalesColumn + 4 * at.stage);
      blackwell::copy_scales(key_scales, blackwell::describe_scales(stage + kKeys * kRowBytes));
      const std::uint64_t keys = blackwell::describe_k_major_64(stage);
#pragma unroll
      for (int unit = 0; unit < C::kUnits; ++unit) {
        if (!has_unit<kTokens>(run, unit)) continue;
        const unsigned buffer = turn % kSums, parity = turn / kSums % 2;
        ++turn;
        blackwell::barrier_wait(&shared.sums_empty[buffer], parity ^ 1);
        blackwell::fence_after_sync();
#pragma unroll
        for (int k = 0; k < kSteps; ++k) {
          blackwell::product_mxf4(
              base + buffer * kSumColumns, keys + blackwell::further(k * kStepBytes),
              queries + blackwell::further(unit * C::kUnitRows * kRowBytes + k * kStepBytes),
              kInstruction | blackwell::first_scale(kGroupsOfStep * k), key_scales,
              base + static_cast<std::uint32_t>(kQueryScalesColumn + 4 * unit), k > 0);
        }
        blackwell::commit(&shared.sums_full[buffer]);
      }
      blackwell::commit(&shared.empty[at.stage]);
    }
    t0 = run.t1;
  }
}

// The sum over heads of a row of 64 sums.
__device__ float reduce_heads(std::uint32_t address, const float* weights) {
  std::uint32_t d[4][16];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    blackwell::load_columns(address + static_cast<std::uint32_t>(16 * i), d[i]);
  }
  blackwell::wait_loaded(d[0], d[1], d[2], d[3]);
  float2 sums[2] = {{0, 0}, {0, 0}};
#pragma unroll
  for (int head = 0; head < kIndexHeads; head += 4) {
    const float4 w = *reinterpret_cast<const float4*>(weights + head);
    const auto positive = [&](int h) { return fmaxf(__uint_as_float(d[h / 16][h % 16]), 0.0f); };
    sums[0] = __ffma2_rn({positive(head), positive(head + 1)}, {w.x, w.y}, sums[0]);
    sums[1] = __ffma2_rn({positive(head + 2), positive(head + 3)}, {w.z, w.w}, sums[1]);
  }
  return (sums[0].x + sums[0].y) + (sums[1].x + sums[1].y);
}

// Thread `row` of one of the groups; every group takes every kReducingGroups-th of the sums.
template <int kTokens>
__device__ void reduce(const Args& args, Shared<kTokens>& shared, const Piece& piece,
                       unsigned group, int row, unsigned& turn) {
  using C = Cut<kTokens>;
  const auto lanes = static_cast<std::uint32_t>(row / 32 * 32) << 16;
  for (int t0 = 0; t0 < piece.tokens;) {
    const Run run = run_from(shared, piece, t0);
    for (int pair = piece.begin; pair < run.end; ++pair) {
      const int key = pair * kKeys + row;
#pragma unroll
      for (int unit = 0; unit < C::kUnits; ++unit) {
        if (!has_unit<kTokens>(run, unit)) continue;
        const unsigned buffer = turn % kSums, parity = turn / kSums % 2;
        const bool mine = turn % kReducingGroups == group;
        ++turn;
        if (!mine) continue;
        blackwell::barrier_wait(&shared.sums_full[buffer], parity);
        blackwell::fence_after_sync();
        float scores[C::kTokensOfUnit];
#pragma unroll
        for (int i = 0; i < C::kTokensOfUnit; ++i) {
          scores[i] = reduce_heads(shared.tensor_memory + lanes + buffer * kSumColumns +
                                       static_cast<std::uint32_t>(i * kIndexHeads),
                                   shared.weights[unit * C::kTokensOfUnit + i]);
        }
        blackwell::fence_before_sync();
        hopper::barrier_arrive(&shared.sums_empty[buffer]);
#pragma unroll
        for (int i = 0; i < C::kTokensOfUnit; ++i) {
          const int t = unit * C::kTokensOfUnit + i;
          if (t >= run.t0 && t < run.t1 && key < shared.visible[t]) {
            args.scores[std::int64_t{piece.first + t} * args.score_stride + key] = scores[i];
          }
        }
      }
    }
    t0 = run.t1;
  }
}

template <int kTokens>
__global__ void __launch_bounds__(kThreads, 1)
    score_mxf4(const __grid_constant__ Args args, const __grid_constant__ Plan plan) {
  auto& shared = *reinterpret_cast<Shared<kTokens>*>(blackwell::dynamic_shared());
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (warp == 0 && lane == 0) {
    for (int slot = 0; slot < kStages; ++slot) {
      hopper::barrier_init(&shared.full[slot], 32);
      hopper::barrier_init(&shared.empty[slot], 1);
    }
    for (int buffer = 0; buffer < kSums; ++buffer) {
      hopper::barrier_init(&shared.sums_full[buffer], 1);
      hopper::barrier_init(&shared.sums_empty[buffer], kReducingThreads);
    }
    hopper::barrier_init_fence();
  } else if (warp == kProductWarp) {
    blackwell::tensor_memory_alloc<kColumns>(&shared.tensor_memory);
    blackwell::tensor_memory_relinquish();
    blackwell::fence_before_sync();
  }

  const int slot = warp - kReducingWarps;
  Filler filler{slot};
  hopper::RingPosition<kStages> at;
  unsigned turn = 0;
  const std::int64_t pieces = std::int64_t{plan.groups} * plan.chunks;
  for (std::int64_t i = blockIdx.x; i < pieces; i += gridDim.x) {
    Piece piece;
    piece.first = static_cast<int>(i % plan.groups) * kTokens;
    piece.tokens = min(kTokens, args.batch.tokens - piece.first);
    piece.begin = static_cast<int>(i / plan.groups) * plan.pages_per_chunk;
    piece.end = piece.begin + plan.pages_per_chunk;
    int farthest = 0;
    for (int t = 0; t < piece.tokens; ++t) {
      farthest = max(farthest, (args.batch.positions[piece.first + t] + 1) / args.compress_ratio);
    }
    if (farthest <= piece.begin * kKeys) continue;
    // All have left the piece before: all of its products are done, all sums read.
    __syncthreads();
    load_queries(args, shared, piece);
    __syncthreads();
    blackwell::fence_after_sync();
    if (warp < kReducingWarps) {
      reduce(args, shared, piece, static_cast<unsigned>(warp / 4),
             static_cast<int>(threadIdx.x) % kReducingThreads, turn);
    } else if (warp < kProductWarp) {
      fill_stages(args, shared, piece, slot, lane, filler);
    } else if (lane == 0) {
      multiply(shared, piece, at, turn);
    }
    __syncwarp();
    blackwell::fence_before_sync();
  }
  __syncthreads();
  // Nothing may arrive at a barrier of a block that has ended.
  if (warp >= kReducingWarps && warp < kProductWarp) {
    blackwell::barrier_wait(&shared.empty[slot], filler.parity);
  }
  blackwell::fence_after_sync();
  if (warp == kProductWarp) blackwell::tensor_memory_free<kColumns>(shared.tensor_memory);
}

template <int kTokens>
void launch_tokens(const Args& args, Stream stream) {
  const int multiprocessors = blackwell::multiprocessors();
  const Plan p =
      plan(args.batch.tokens, (most_pages(args) + 1) / 2, kTokens, multiprocessors, kOverheadPairs);
  if (p.pieces() == 0) return;
  const auto blocks = static_cast<int>(std::min<std::int64_t>(p.pieces(), multiprocessors));
  blackwell::launch(score_mxf4<kTokens>, blocks, kThreads,
                    static_cast<int>(sizeof(Shared<kTokens>)), stream, args, p);
}

void launch(const Args& args, void*, Stream stream) {
  if (args.batch.max_new_tokens > 1) return launch_tokens<4>(args, stream);
  launch_tokens<1>(args, stream);
}

std::string refuses(const Args& args) {
  if (args.keys.format != KeyFormat::fp4) return "keys are FP8";
  if (reinterpret_cast<std::uintptr_t>(args.q_scales) % 4 != 0) {
    return "scales of queries are not 4-byte aligned";
  }
  return refuses_operands(args);
}

const Register<Args> kVersion{{.name = "sm100a_mxf4",
                               .target = Target::sm100a,
                               .preference = 10,
                               .never_run = true,
                               .idea = "FP4 keys and queries as they are, block-scaled tcgen05",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
