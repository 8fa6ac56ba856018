// Scores by wgmma with the keys in registers: 64 keys of a page are the rows of a product, the 64
// heads of one token its columns. A key's fragment is what a thread reads from the page as it lies
// in memory (operands.cuh), so a page comes by one linear bulk copy, and its stage is free again as
// soon as the fragment is read. The sum over heads stays inside a thread but for the last two
// steps.
// Work    : 16384 FLOP a (token, key): 128 clocks of the tensor cores for a page and a token, against
//           about 90 instructions of each of the four warps, and as many again to expand FP4 keys. The
//           warpgroups take turns at both.
// Traffic : decode reads a page (8448 B, FP4 4352 B) once, and is bound by memory; prefill reads it
//           from L2 for 12 tokens; 4 B a score to memory.
// Shape   : a block stays on its multiprocessor; three warpgroups multiply, a warp fetches pages
//           ahead, beyond the ends of pieces.
//           Prefill (FP4): it takes every grid-th piece (launch.h); the warpgroups share pages, each
//           has 4 tokens of its own.
//           Decode: it takes a share of all pages (launch.h), so that a long sequence among short
//           ones is spread over all blocks; the warpgroups share up to 4 tokens, and take turns in
//           pages.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/indexer_scores/launch.h"
#include "kernels/indexer_scores/operands.cuh"
#include "kernels/indexer_scores/pieces.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::indexer_scores {
namespace {

constexpr int kWarpgroups = 3;
constexpr int kThreads = (kWarpgroups + 1) * 128;  // the last one's first warp fetches pages
constexpr int kQueryBytes = kIndexHeads * kIndexDim;
constexpr int kSharedBytes = 220 * 1024;

// kTokens are a warpgroup's. kSharedPages: every page is for all warpgroups, whose tokens differ.
template <KeyFormat kFormat, int kTokens, bool kSharedPages>
struct Layout {
  static constexpr int kPageBytes = kKeysPerPage * (kFormat == KeyFormat::fp8 ? 132 : 68);
  static constexpr int kGroupTokens = kTokens * (kSharedPages ? kWarpgroups : 1);
  static constexpr int kLaidOut = kSharedPages ? 1 : kMostShareGroups + 1;
  static constexpr int kFit =
      (kSharedBytes - 1024 - 4 * kLaidOut - kWarpgroups * kTokens * kQueryBytes) /
      (kPageBytes + 16);
  static constexpr int kMost = kFit < 32 ? kFit : 32;
  // Pages land in any order. Were a stage one warpgroup's and later another's, the second could wait
  // for its page before the first one's has landed: the barrier would still be a phase behind, whose
  // parity says "landed". So each stage is always the same warpgroup's, or all of them wait for it.
  static constexpr int kStages = kSharedPages ? kMost : kMost / kWarpgroups * kWarpgroups;

  alignas(1024) std::uint8_t queries[kWarpgroups][kTokens][kQueryBytes];
  alignas(128) std::uint8_t pages[kStages][kPageBytes];
  std::uint64_t full[kStages], empty[kStages];
  Expansion expansions[kExpansions];
  int first_page[kLaidOut];
};

// The block's pieces: of the plan, or its share.
template <bool kSharedPages, class L, class Body>
__device__ inline void walk(const Args& args, const Plan& plan, const L& shared, const Body& body) {
  if constexpr (kSharedPages) {
    for_each_piece<L::kGroupTokens>(args, plan, body);
  } else {
    for_each_share<L::kGroupTokens>(args, plan.groups, shared.first_page, body);
  }
}

template <bool kReadOnce, class L>
__device__ inline void fetch_pages(const Args& args, const Plan& plan, L& shared) {
  const std::uint64_t policy = hopper::policy_evict_first();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (kReadOnce && args.batch.sequences == 1) {  // while the positions are on their way
    const int share =
        pages_per_share(plan.chunks * plan.pages_per_chunk, static_cast<int>(gridDim.x));
    const std::int32_t* ids =
        args.pages.pages + (static_cast<int>(blockIdx.x) * share + lane) % args.pages.length;
    asm volatile("prefetch.global.L2 [%0];" ::"l"(ids));
  }
  hopper::RingPosition<L::kStages> ring;
  walk<!kReadOnce>(
      args, plan, shared, [&](int, int count, int begin_page, int end_page, const Tokens& tokens) {
        for_each_run(tokens, count, begin_page, end_page, [&](const Run& run) {
          for (int base = run.begin_page; base < run.end_page; base += 32) {
            const int pages = min(32, run.end_page - base);
            std::int64_t page = 0;
            if (lane < pages) {
              page = args.pages.page(run.sequence, std::int64_t{base + lane} * kKeysPerPage,
                                     kKeysPerPage);
            }
            for (int i = 0; i < pages; ++i) {
              const std::int64_t from = __shfl_sync(~0u, page, i);
              if (lane == 0) {
                hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
                hopper::barrier_expect(&shared.full[ring.stage], L::kPageBytes);
                const std::uint8_t* codes = args.keys.base + from * L::kPageBytes;
                if constexpr (kReadOnce) {
                  hopper::bulk_copy(shared.pages[ring.stage], codes, L::kPageBytes,
                                    &shared.full[ring.stage], policy);
                } else {
                  hopper::bulk_copy(shared.pages[ring.stage], codes, L::kPageBytes,
                                    &shared.full[ring.stage]);
                }
              }
              __syncwarp();
              ring.advance();
            }
          }
        });
      });
}

// A page's fragment: registers of four steps, and the scale of the row that the thread writes.
struct Fragment {
  std::uint32_t a[4][4];
  float scale;
};

template <KeyFormat kFormat>
__device__ inline void read_keys(const std::uint8_t* page, int row, int quad,
                                 const Expansion* expansions, Fragment& keys) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = row + 8 * half;
    std::uint32_t u[8];
    if constexpr (kFormat == KeyFormat::fp8) {
      // Odd rows read their upper half first: eight lanes then cover all banks.
      const int odd = row % 2;
      const auto* codes = reinterpret_cast<const uint4*>(page + r * kIndexDim + 16 * quad);
      const uint4 one = codes[4 * odd], other = codes[4 - 4 * odd];
      const uint4 low = odd != 0 ? other : one, high = odd != 0 ? one : other;
      u[0] = low.x, u[1] = low.y, u[2] = low.z, u[3] = low.w;
      u[4] = high.x, u[5] = high.y, u[6] = high.z, u[7] = high.w;
    } else {
      const uint4 codes = *reinterpret_cast<const uint4*>(page + r * (kIndexDim / 2) + 16 * quad);
      const std::uint32_t scales =
          *reinterpret_cast<const std::uint32_t*>(page + kKeysPerPage * (kIndexDim / 2) + r * 4);
      const std::uint32_t largest = largest_scale(scales);
      const Expansion table = expansions[steps_down(scales, largest, quad)];
      expand_fp4(codes.x, table, u[0], u[1]);
      expand_fp4(codes.y, table, u[2], u[3]);
      expand_fp4(codes.z, table, u[4], u[5]);
      expand_fp4(codes.w, table, u[6], u[7]);
      if (half == quad % 2) keys.scale = row_scale_fp4(largest);
    }
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      keys.a[step][half] = u[2 * step];
      keys.a[step][2 + half] = u[2 * step + 1];
    }
  }
  if constexpr (kFormat == KeyFormat::fp8) {
    keys.scale = *reinterpret_cast<const float*>(page + kKeysPerPage * kIndexDim +
                                                 (row + 8 * (quad % 2)) * 4);
  }
}

__device__ inline void multiply(float (&d)[32], const Fragment& keys, std::uint64_t queries) {
  hopper::wgmma_fence();
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    hopper::wgmma_e4m3<kIndexHeads>(d, keys.a[step], queries + static_cast<std::uint64_t>(2 * step),
                                    step > 0);
  }
  hopper::wgmma_commit();
}

template <KeyFormat kFormat, int kTokens, bool kSharedPages, class L>
__device__ inline void multiply_pages(const Args& args, const Plan& plan, L& shared,
                                      int warpgroup) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32, quad = lane % 4;
  const int row = thread % 128 / 32 * 16 + lane / 4;
  const int first_own = kSharedPages ? warpgroup * kTokens : 0;
  const std::uint64_t queries =
      hopper::describe_k_major(hopper::shared_address(shared.queries[warpgroup]));
  constexpr std::uint64_t kNextToken = kQueryBytes >> 4;
  hopper::RingPosition<L::kStages> ring;
  int turn = 0;

  walk<kSharedPages>(
      args, plan, shared,
      [&](int first, int count, int begin_page, int end_page, const Tokens& tokens) {
        hopper::named_sync(1 + warpgroup, 128);  // products have read the last piece's queries
        for (int i = thread % 128; i < kTokens * kIndexHeads * 8; i += 128) {
          const int t = i / (kIndexHeads * 8), head = i / 8 % kIndexHeads;
          const int q = i % 4, half = i / 4 % 2;
          uint4 words = {0, 0, 0, 0};
          if (first_own + t < count) {
            words = query_words<kFormat>(args.q_codes, args.q_scales,
                                         std::int64_t{first + first_own + t} * kIndexHeads + head,
                                         q, half, shared.expansions);
          }
          const std::uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            const int chunk = (4 * half + c) ^ (head % 8);
            *reinterpret_cast<std::uint32_t*>(
                &shared.queries[warpgroup][t][head * 128 + chunk * 16 + 4 * q]) = word[c];
          }
        }
        float weights[kTokens][16];
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
          read_weights<kFormat>(args, first + first_own + t, first_own + t < count, quad,
                                weights[t]);
        }
        hopper::fence_async_shared();
        hopper::named_sync(1 + warpgroup, 128);

        for_each_run(tokens, count, begin_page, end_page, [&](const Run& run) {
          int visible[kTokens];
#pragma unroll
          for (int t = 0; t < kTokens; ++t) {
            const int at = first_own + t;
            const int seen = __shfl_sync(~0u, tokens.visible, at);
            visible[t] = at >= run.begin_token && at < run.end_token ? seen : 0;
          }
          float* const out =
              args.scores + (first + first_own) * args.score_stride + row + 8 * (quad % 2);
          const auto take = [&](Fragment& keys) {
            hopper::barrier_wait(&shared.full[ring.stage], ring.parity);
            read_keys<kFormat>(shared.pages[ring.stage], row, quad, shared.expansions, keys);
#pragma unroll
            for (auto& step : keys.a) {  // complete before the products, not between them
#pragma unroll
              for (std::uint32_t& word : step) asm volatile("" : "+r"(word));
            }
            __syncwarp();
            if (lane == 0) hopper::barrier_arrive(&shared.empty[ring.stage]);
            ring.advance();
          };
          const auto write = [&](const float(&d)[32], int t, int page, float scale) {
            float upper = 0, lower = 0;
            weigh<0>(d, weights[t], upper, lower);
            const float score = add_quad(upper, lower, quad) * scale;
            const int key = page * kKeysPerPage;
            if (quad < 2 && key + row + 8 * quad < visible[t]) {
              out[t * args.score_stride + key] = score;
            }
          };
          for (int page = run.begin_page; page < run.end_page; ++page) {
            const bool own = kSharedPages || turn == warpgroup;
            if (++turn == kWarpgroups) turn = 0;
            if (!own) {  // another warpgroup's
              ring.advance();
              continue;
            }
            Fragment keys;
            take(keys);
#pragma unroll
            for (int t = 0; t < kTokens; ++t) {
              float d[32];
              multiply(d, keys, queries + t * kNextToken);
              hopper::wgmma_wait<0>();
              hopper::pin(d);
              write(d, t, page, keys.scale);
            }
          }
        });
      });
}

template <KeyFormat kFormat, int kTokens, bool kSharedPages>
__global__ void __launch_bounds__(kThreads, 1) score(Args args, Plan plan) {
  using L = Layout<kFormat, kTokens, kSharedPages>;
  extern __shared__ __align__(1024) std::uint8_t memory[];
  L& shared = *reinterpret_cast<L*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < L::kStages) {
    hopper::barrier_init(&shared.full[thread], 1);
    hopper::barrier_init(&shared.empty[thread], kSharedPages ? 4 * kWarpgroups : 4);
    hopper::barrier_init_fence();
  }
  if (kFormat == KeyFormat::fp4 && thread < kExpansions * 8) {  // a code each
    reinterpret_cast<std::uint8_t*>(shared.expansions)[thread] = expanded(thread % 8, thread / 8);
  }
  if constexpr (!kSharedPages) {
    lay_out_groups<L::kGroupTokens, kThreads>(args, plan.groups, shared.first_page);
  }
  __syncthreads();
  const int warpgroup = __shfl_sync(~0u, thread / 128, 0);  // known to be the same for a warp
  if (warpgroup == kWarpgroups) {
    hopper::registers_decrease<56>();
    if (thread % 128 < 32) fetch_pages<!kSharedPages>(args, plan, shared);
  } else {
    hopper::registers_increase<152>();
    multiply_pages<kFormat, kTokens, kSharedPages>(args, plan, shared, warpgroup);
  }
}

template <KeyFormat kFormat, int kTokens, bool kSharedPages>
void launch_layout(const Args& args, cudaStream_t stream) {
  using L = Layout<kFormat, kTokens, kSharedPages>;
  static_assert(sizeof(L) <= 227 * 1024);
  int device = 0, blocks = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device));
  const Plan p =
      plan(args.batch.tokens, most_pages(args), L::kGroupTokens, blocks, kSharedPages ? 4 : 6);
  if (p.pieces() == 0) return;
  V4CAP_CUDA(cudaFuncSetAttribute(score<kFormat, kTokens, kSharedPages>,
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(L))));
  const std::int64_t most = kSharedPages ? std::min<std::int64_t>(blocks, p.pieces())
                                         : share_blocks(p.groups, most_pages(args), blocks);
  const auto grid = static_cast<unsigned>(most);
  score<kFormat, kTokens, kSharedPages><<<grid, kThreads, sizeof(L), stream>>>(args, p);
  V4CAP_LAUNCHED("indexer_scores");
}

template <KeyFormat kFormat>
void launch_format(const Args& args, cudaStream_t stream) {
  switch (sharing(args.batch.max_new_tokens)) {
    case Sharing::pages:
      if constexpr (kFormat == KeyFormat::fp4) launch_layout<kFormat, 4, true>(args, stream);
      return;
    case Sharing::tokens_4:
      return launch_layout<kFormat, 4, false>(args, stream);
    case Sharing::tokens_2:
      return launch_layout<kFormat, 2, false>(args, stream);
    case Sharing::tokens_1:
      return launch_layout<kFormat, 1, false>(args, stream);
  }
}

void launch(const Args& args, void*, Stream stream) {
  if (args.keys.format == KeyFormat::fp8) return launch_format<KeyFormat::fp8>(args, stream);
  launch_format<KeyFormat::fp4>(args, stream);
}

std::string refuses(const Args& args) {
  if (args.keys.format == KeyFormat::fp8 && sharing(args.batch.max_new_tokens) == Sharing::pages) {
    return "FP8 keys and many new tokens: see sm90a_shared_keys";
  }
  const int tokens_of_group = group_tokens(sharing(args.batch.max_new_tokens));
  if (tokens_of_group > 0 && args.batch.tokens > kMostShareGroups * tokens_of_group) {
    return "more than 1024 groups of tokens in decode";
  }
  return refuses_operands(args);
}

const Register<Args> kVersion{{.name = "sm90a_register_keys",
                               .target = Target::sm90a,
                               .preference = 10,
                               .idea = "wgmma, keys in registers, pages by bulk copy",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
