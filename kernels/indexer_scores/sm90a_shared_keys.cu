// Prefill with FP8 keys by wgmma with both operands in shared memory: 64 keys of a page are the
// rows of a product, the heads of two tokens its 128 columns. The codes of a pool are one matrix of
// 128-byte rows (a page's scales fill two more), so a page's codes come by tensor copy in the
// swizzle that wgmma reads, 64 rows from row 66 * page. The sum over heads stays inside a thread
// but for the last two steps.
// Work    : 16384 FLOP a (token, key): 128 clocks of the tensor cores for a page and a token, against
//           about 80 instructions of each of the four warps. Three warpgroups take turns at both
//           (two with two accumulators each were slower).
// Traffic : a page of 8448 B for 12 tokens from L2; 4 B a score to memory.
// Shape   : a block stays on its multiprocessor and takes every grid-th piece (launch.h); the
//           warpgroups, each with 4 tokens of its own, share every page; a warp fetches pages ahead.
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/cuda/tensor_map.h"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/indexer_scores/launch.h"
#include "kernels/indexer_scores/operands.cuh"
#include "kernels/indexer_scores/pieces.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::indexer_scores {
namespace {

constexpr int kWarpgroups = 3;
constexpr int kThreads = (kWarpgroups + 1) * 128;  // the last one's first warp fetches pages
constexpr int kTokens = 4;                         // of a warpgroup
constexpr int kGroupTokens = kWarpgroups * kTokens;
constexpr int kColumns = 2 * kIndexHeads;
constexpr int kStages = 12;
constexpr int kCodeBytes = kKeysPerPage * kIndexDim;
constexpr int kScaleBytes = kKeysPerPage * 4;
constexpr int kPageRows = (kCodeBytes + kScaleBytes) / kIndexDim;
constexpr int kQueryBytes = kIndexHeads * kIndexDim;
constexpr std::uint64_t kSecondPair = 2 * kQueryBytes >> 4;
constexpr int kOverheadPages = 4;

struct Shared {
  alignas(1024) std::uint8_t queries[kWarpgroups][kTokens][kQueryBytes];
  alignas(1024) std::uint8_t codes[kStages][kCodeBytes];
  alignas(128) float scales[kStages][kKeysPerPage];
  std::uint64_t full[kStages], empty[kStages];
};

__device__ inline void fetch_pages(const Args& args, const Plan& plan, const CUtensorMap& codes,
                                   Shared& shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  hopper::RingPosition<kStages> ring;
  for_each_piece<kGroupTokens>(
      args, plan, [&](int, int count, int begin_page, int end_page, const Tokens& tokens) {
        for_each_run(tokens, count, begin_page, end_page, [&](const Run& run) {
          for (int base = run.begin_page; base < run.end_page; base += 32) {
            const int pages = min(32, run.end_page - base);
            int page = 0;
            if (lane < pages) {
              page = static_cast<int>(args.pages.page(
                  run.sequence, std::int64_t{base + lane} * kKeysPerPage, kKeysPerPage));
            }
            for (int i = 0; i < pages; ++i) {
              const int from = __shfl_sync(~0u, page, i);
              if (lane == 0) {
                std::uint64_t* full = &shared.full[ring.stage];
                hopper::barrier_wait(&shared.empty[ring.stage], ring.parity ^ 1);
                hopper::barrier_expect(full, kCodeBytes + kScaleBytes);
                hopper::tensor_copy_2d(shared.codes[ring.stage], &codes, 0, from * kPageRows, full);
                hopper::bulk_copy(
                    shared.scales[ring.stage],
                    args.keys.base + std::int64_t{from} * (kPageRows * kIndexDim) + kCodeBytes,
                    kScaleBytes, full);
              }
              __syncwarp();
              ring.advance();
            }
          }
        });
      });
}

__device__ inline void multiply(float (&d)[kColumns / 2], std::uint64_t keys,
                                std::uint64_t queries) {
  hopper::wgmma_fence();
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    const auto further = static_cast<std::uint64_t>(2 * step);
    hopper::wgmma_e4m3<kColumns>(d, keys + further, queries + further, step > 0);
  }
  hopper::wgmma_commit();
}

__device__ inline void multiply_pages(const Args& args, const Plan& plan, Shared& shared,
                                      int warpgroup) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32, quad = lane % 4;
  const int row = thread % 128 / 32 * 16 + lane / 4;
  const int first_own = warpgroup * kTokens;
  const std::uint64_t queries =
      hopper::describe_k_major(hopper::shared_address(shared.queries[warpgroup]));
  const std::uint64_t codes = hopper::describe_k_major(hopper::shared_address(shared.codes));
  hopper::RingPosition<kStages> ring;

  for_each_piece<kGroupTokens>(
      args, plan, [&](int first, int count, int begin_page, int end_page, const Tokens& tokens) {
        hopper::named_sync(1 + warpgroup, 128);  // products have read the last piece's queries
        for (int i = thread % 128; i < kTokens * kIndexHeads * 8; i += 128) {
          const int t = i / (kIndexHeads * 8), head = i / 8 % kIndexHeads, chunk = i % 8;
          uint4 words = {0, 0, 0, 0};
          if (first_own + t < count) {
            const std::int64_t at = std::int64_t{first + first_own + t} * kIndexHeads + head;
            words = *reinterpret_cast<const uint4*>(args.q_codes + at * kIndexDim + 16 * chunk);
          }
          *reinterpret_cast<uint4*>(
              &shared.queries[warpgroup][t][head * kIndexDim + (chunk ^ (head % 8)) * 16]) = words;
        }
        float weights[kTokens][16];
#pragma unroll
        for (int t = 0; t < kTokens; ++t) {
          read_weights<KeyFormat::fp8>(args, first + first_own + t, first_own + t < count, quad,
                                       weights[t]);
        }
        hopper::fence_async_shared();
        hopper::named_sync(1 + warpgroup, 128);

        for_each_run(tokens, count, begin_page, end_page, [&](const Run& run) {
          // The thread writes row `own_row` of every page, of two of the four tokens.
          const int own_row = row + 8 * (quad % 2);
          int limit[kTokens / 2];
          float* out[kTokens / 2];
#pragma unroll
          for (int pair = 0; pair < kTokens / 2; ++pair) {
            const int at = first_own + 2 * pair + quad / 2;
            const int seen = __shfl_sync(~0u, tokens.visible, at);
            limit[pair] = at >= run.begin_token && at < run.end_token ? seen - own_row : 0;
            out[pair] = args.scores + (first + at) * args.score_stride + own_row;
          }
          int stage = 0;
          float scale = 0;
          const auto take = [&] {
            hopper::barrier_wait(&shared.full[ring.stage], ring.parity);
            stage = ring.stage;
            scale = shared.scales[stage][own_row];
            ring.advance();
          };
          const auto keys = [&] {
            return codes + static_cast<std::uint64_t>(stage * (kCodeBytes >> 4));
          };
          const auto write = [&](const float(&d)[kColumns / 2], int pair, int page, float by) {
            float upper[2], lower[2];
            weigh<0>(d, weights[2 * pair], upper[0], lower[0]);
            weigh<32>(d, weights[2 * pair + 1], upper[1], lower[1]);
            const float sum = add_quad_of_two(upper[0], lower[0], upper[1], lower[1], quad);
            const int key = page * kKeysPerPage;
            if (key < limit[pair]) __stcs(out[pair] + key, sum * by);
          };
          for (int page = run.begin_page; page < run.end_page; ++page) {
            take();
            float d[kColumns / 2];
            multiply(d, keys(), queries);
            hopper::wgmma_wait<0>();
            hopper::pin(d);
            write(d, 0, page, scale);
            multiply(d, keys(), queries + kSecondPair);
            hopper::wgmma_wait<0>();
            hopper::pin(d);
            if (lane == 0) hopper::barrier_arrive(&shared.empty[stage]);
            write(d, 1, page, scale);
          }
        });
      });
}

__global__ void __launch_bounds__(kThreads, 1)
    score(Args args, Plan plan, const __grid_constant__ CUtensorMap codes) {
  extern __shared__ __align__(1024) std::uint8_t memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kStages) {
    hopper::barrier_init(&shared.full[thread], 1);
    hopper::barrier_init(&shared.empty[thread], 4 * kWarpgroups);
    hopper::barrier_init_fence();
  }
  __syncthreads();
  const int warpgroup = __shfl_sync(~0u, thread / 128, 0);  // known to be the same for a warp
  if (warpgroup == kWarpgroups) {
    hopper::registers_decrease<56>();
    if (thread % 128 < 32) fetch_pages(args, plan, codes, shared);
  } else {
    hopper::registers_increase<152>();
    multiply_pages(args, plan, shared, warpgroup);
  }
}

void launch(const Args& args, void*, Stream stream) {
  int device = 0, blocks = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&blocks, cudaDevAttrMultiProcessorCount, device));
  const Plan p = plan(args.batch.tokens, most_pages(args), kGroupTokens, blocks, kOverheadPages);
  if (p.pieces() == 0) return;
  // The pool's size is not known here; pages that no table names are not touched.
  constexpr std::int64_t kRows = std::int64_t{1} << 31;
  const CUtensorMap codes = tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, args.keys.base, kRows,
                                       kIndexDim, kIndexDim, kKeysPerPage, kIndexDim);
  V4CAP_CUDA(cudaFuncSetAttribute(score, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(blocks, p.pieces()));
  score<<<grid, kThreads, sizeof(Shared), stream>>>(args, p, codes);
  V4CAP_LAUNCHED("indexer_scores");
}

std::string refuses(const Args& args) {
  if (args.keys.format != KeyFormat::fp8) return "keys are not FP8";
  if (sharing(args.batch.max_new_tokens) != Sharing::pages) {
    return "few new tokens a sequence: see sm90a_register_keys";
  }
  return refuses_operands(args);
}

const Register<Args> kVersion{{.name = "sm90a_shared_keys",
                               .target = Target::sm90a,
                               .preference = 20,
                               .idea = "wgmma of two tokens at a time, pages by tensor copy",
                               .refuses = refuses,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
