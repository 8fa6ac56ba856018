// Scores by m16n8k32 products of e4m3: keys are the rows, heads the columns; a thread keeps its
// keys in registers for all heads and tokens of its piece, and reduces over heads where they stand.
// Work    : 16384 FLOP a (token, key), 64 max and 64 FMA on the ordinary lanes.
// Traffic : 132 B (FP4: 68 B) a key for every group of tokens, 4 B a score.
// Shape   : a warp has 16 keys of a page of 64; four tokens (decode: one) to a block. FP4 keys become
//           e4m3 codes in registers (operands.cuh).
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/indexer_scores/launch.h"
#include "kernels/indexer_scores/operands.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::indexer_scores {
namespace {

constexpr int kThreads = 128;
constexpr int kOverheadPages = 2;

// Words of two keys of a page, rows `row` and `row` + 8, and their scales.
struct Keys {
  std::uint32_t u[2][8];
  float scale[2];
};

template <KeyFormat kFormat>
__device__ inline void load_keys(const KeyPool& pool, std::int64_t page, int row, int quad,
                                 const Expansion* expansions, Keys& keys) {
  const std::uint8_t* base = pool.base + page * pool.page_bytes();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int r = row + 8 * i;
    if constexpr (kFormat == KeyFormat::fp8) {
      const auto* codes = reinterpret_cast<const uint4*>(base + r * kIndexDim + 16 * quad);
      const uint4 low = codes[0], high = codes[4];
      const std::uint32_t words[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int w = 0; w < 8; ++w) keys.u[i][w] = words[w];
      keys.scale[i] = *reinterpret_cast<const float*>(base + kKeysPerPage * kIndexDim + r * 4);
    } else {
      const uint4 packed = *reinterpret_cast<const uint4*>(base + r * (kIndexDim / 2) + 16 * quad);
      const std::uint32_t scales =
          *reinterpret_cast<const std::uint32_t*>(base + kKeysPerPage * (kIndexDim / 2) + r * 4);
      const std::uint32_t largest = largest_scale(scales);
      const Expansion table = expansions[steps_down(scales, largest, quad)];
      expand_fp4(packed.x, table, keys.u[i][0], keys.u[i][1]);
      expand_fp4(packed.y, table, keys.u[i][2], keys.u[i][3]);
      expand_fp4(packed.z, table, keys.u[i][4], keys.u[i][5]);
      expand_fp4(packed.w, table, keys.u[i][6], keys.u[i][7]);
      keys.scale[i] = row_scale_fp4(largest);
    }
  }
}

__device__ inline void product(float (&d)[4], const Keys& keys, int step, std::uint32_t b0,
                               std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(keys.u[0][2 * step]), "r"(keys.u[1][2 * step]), "r"(keys.u[0][2 * step + 1]),
        "r"(keys.u[1][2 * step + 1]), "r"(b0), "r"(b1));
}

template <KeyFormat kFormat, int kTokens>
__global__ void __launch_bounds__(kThreads) score(Args args, Plan plan) {
  // A head's 16-byte pieces: the halves change places in odd heads, so that the eight lanes that
  // are served at a time find their words in different banks.
  __shared__ uint4 queries[kTokens][kIndexHeads][8];
  __shared__ float2 weights[kTokens][kIndexHeads / 2];
  __shared__ Expansion expansions[kExpansions];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32, quad = lane % 4, row = thread / 32 * 16 + lane / 4;
  const int group = static_cast<int>(blockIdx.x), chunk = static_cast<int>(blockIdx.y);
  const int first = group * kTokens;
  const int tokens = min(kTokens, args.batch.tokens - first);
  const int begin = chunk * plan.pages_per_chunk;

  int farthest = 0;
  for (int t = 0; t < tokens; ++t) {
    farthest = max(farthest, (args.batch.positions[first + t] + 1) / args.compress_ratio);
  }
  if (farthest <= begin * kKeysPerPage) return;

  static_assert(kThreads == kExpansions * 8);
  if (kFormat == KeyFormat::fp4) {
    reinterpret_cast<std::uint8_t*>(expansions)[thread] = expanded(thread % 8, thread / 8);
  }
  __syncthreads();
  for (int i = thread; i < kTokens * kIndexHeads * 8; i += kThreads) {
    const int t = i / (kIndexHeads * 8), head = i / 8 % kIndexHeads, piece = i % 8;
    uint4 words = {0, 0, 0, 0};
    if (t < tokens) {
      words = query_words<kFormat>(args.q_codes, args.q_scales,
                                   std::int64_t{first + t} * kIndexHeads + head, piece % 4,
                                   piece / 4, expansions);
    }
    queries[t][head][piece ^ (head % 2 * 4)] = words;
  }
  for (int i = thread; i < kTokens * kIndexHeads; i += kThreads) {
    const std::int64_t at = std::int64_t{first} * kIndexHeads + i;
    reinterpret_cast<float*>(weights)[i] =
        i < tokens * kIndexHeads ? args.weights[at] * query_scale<kFormat>(args.q_scales, at) : 0;
  }
  __syncthreads();

  for (int t0 = 0; t0 < tokens;) {  // tokens of one sequence
    const int sequence = args.batch.sequence_of[first + t0];
    int t1 = t0 + 1;
    while (t1 < tokens && args.batch.sequence_of[first + t1] == sequence) ++t1;
    int visible[kTokens], most = 0;
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      visible[t] =
          t >= t0 && t < t1 ? (args.batch.positions[first + t] + 1) / args.compress_ratio : 0;
      most = max(most, visible[t]);
    }
    const int end = min(begin + plan.pages_per_chunk, (most + kKeysPerPage - 1) / kKeysPerPage);
    for (int page = begin; page < end; ++page) {
      Keys keys;
      load_keys<kFormat>(args.keys,
                         args.pages.page(sequence, std::int64_t{page} * kKeysPerPage, kKeysPerPage),
                         row, quad, expansions, keys);
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        float sum[2] = {0, 0};
#pragma unroll 2
        for (int tile = 0; tile < kIndexHeads / kHeadsPerTile; ++tile) {
          const int head = tile * kHeadsPerTile + lane / 4;
          const uint4 low = queries[t][head][quad ^ (head % 2 * 4)];
          const uint4 high = queries[t][head][(quad + 4) ^ (head % 2 * 4)];
          float d[4] = {0, 0, 0, 0};
          product(d, keys, 0, low.x, low.y);
          product(d, keys, 1, low.z, low.w);
          product(d, keys, 2, high.x, high.y);
          product(d, keys, 3, high.z, high.w);
          const float2 w = weights[t][tile * kHeadsPerTile / 2 + quad];
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            sum[i] = fmaf(fmaxf(d[2 * i], 0.0f), w.x, sum[i]);
            sum[i] = fmaf(fmaxf(d[2 * i + 1], 0.0f), w.y, sum[i]);
          }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          sum[i] += __shfl_xor_sync(~0u, sum[i], 1);
          sum[i] += __shfl_xor_sync(~0u, sum[i], 2);
          const int key = page * kKeysPerPage + row + 8 * i;
          if (quad == i && key < visible[t]) {
            args.scores[std::int64_t{first + t} * args.score_stride + key] = sum[i] * keys.scale[i];
          }
        }
      }
    }
    t0 = t1;
  }
}

int multiprocessors() {
  int device = 0, count = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

template <KeyFormat kFormat, int kTokens>
void launch_tokens(const Args& args, cudaStream_t stream) {
  const Plan p =
      plan(args.batch.tokens, most_pages(args), kTokens, 8 * multiprocessors(), kOverheadPages);
  if (p.pieces() == 0) return;
  const dim3 grid(static_cast<unsigned>(p.groups), static_cast<unsigned>(p.chunks));
  score<kFormat, kTokens><<<grid, kThreads, 0, stream>>>(args, p);
  V4CAP_LAUNCHED("indexer_scores");
}

template <KeyFormat kFormat>
void launch_format(const Args& args, cudaStream_t stream) {
  if (args.batch.max_new_tokens > 1) return launch_tokens<kFormat, 4>(args, stream);
  launch_tokens<kFormat, 1>(args, stream);
}

void launch(const Args& args, void*, Stream stream) {
  if (args.keys.format == KeyFormat::fp8) return launch_format<KeyFormat::fp8>(args, stream);
  launch_format<KeyFormat::fp4>(args, stream);
}

const Register<Args> kVersion{{.name = "portable",
                               .idea = "m16n8k32 products, keys in registers",
                               .refuses = refuses_operands,
                               .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::indexer_scores
