// Experts by Blackwell's products of scaled blocks: FP4 weights as they are times FP8 activations.
// Idea    : the weights are the M side (2 x 128 rows a tile), the tokens N, as wide as there are rows
//           (16..96). A tensor map puts the packed codes into shared memory with the padding that the
//           products want; both operands' scales go to tensor memory; nothing is expanded. A warp per
//           stage of the ring fills it: the weights' codes by one thread's two copies, the gathered
//           rows of tokens by cp.async, scales through registers. Sums of two tiles fit tensor memory,
//           so that four warps finish one while the next is multiplied. In gate_up a lane holds gate
//           and up of the same channel; in down two channels 128 apart.
// Traffic : 17/32 B a weight, once for each 96 rows of an expert: bound by memory up to ~64 rows an
//           expert, beyond by shared memory (7 KB for 48 clocks of products at 96 columns).
// Never run on a GPU, only on a model of one (tests/kernels/sm100a_model/). Relied on, and read
// only: what blackwell.cuh says of descriptors and scales; that a copy of 128 x 128 codes counts
// its 8192 packed bytes at the barrier (CUTLASS and DeepGEMM count so). Waits end in a trap after 4
// s.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/blackwell.cuh"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/tensor_map.h"
#include "kernels/experts/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::experts {
namespace {

constexpr int kTokens = kTileTokensSm100a;  // most columns of a product
constexpr int kHalfRows = kTileRows / 2;
constexpr int kDepth = 128;  // channels of K in a stage
constexpr int kStep = 32;    // of a product
constexpr int kStages = 4;   // as many as warps that fill them

// Warps 0-3 finish tiles (each reads its quarter of the lanes), the next fill stages, the last one
// issues products.
constexpr int kFinishingWarps = 4;
constexpr int kFinishingThreads = 32 * kFinishingWarps;
constexpr int kProductWarp = kFinishingWarps + kStages;
constexpr int kThreads = 32 * (kProductWarp + 1);

// A stage. Codes of weights take a byte each in shared memory, half a byte in memory.
constexpr int kHalfBytes = kHalfRows * kDepth;
constexpr std::uint32_t kCopiedBytes = 2 * kHalfBytes / 2;
constexpr int kScaleTileBytes = 512;
constexpr int kXAt = 2 * kHalfBytes;
constexpr int kWeightScalesAt = kXAt + kTokens * kDepth;
constexpr int kXScalesAt = kWeightScalesAt + 2 * kScaleTileBytes;
constexpr int kStageBytes = (kXScalesAt + kScaleTileBytes + 1023) / 1024 * 1024;

// Columns of tensor memory: sums of two tiles, then three tiles of scales for each stage.
constexpr int kSumColumns = 2 * kTokens;
constexpr int kScaleColumns = 16;
constexpr int kScalesColumn = 2 * kSumColumns;
constexpr int kColumns = 512;
static_assert(kScalesColumn + kStages * kScaleColumns <= kColumns);

struct Scratch {
  Bf16 activated[kTokens][kHalfRows];
  std::uint32_t largest[kFinishingWarps][kTokens];
  std::uint64_t full[kStages], empty[kStages];
  std::uint64_t sums_full[2], sums_empty[2];
  std::uint32_t tensor_memory;
  std::int32_t first_token_tile[kMaxExperts + 1];  // token tiles of all experts before
};
constexpr int kSharedBytes = kStages * kStageBytes + static_cast<int>(sizeof(Scratch));
static_assert(kSharedBytes <= 227 * 1024);

// The product, whichever of the two it is.
struct Product {
  int experts = 0;
  int in = 0;
  int out = 0;                           // rows of an expert's weights
  int tiles = 0;                         // of weights
  int rows_apart = 0, halves_apart = 0;  // first rows of neighbouring tiles; of a tile's halves
  Fp8Rows x = {};
  const std::uint8_t* scales = nullptr;
  const std::int32_t* offsets = nullptr;
  const std::int32_t* row_token = nullptr;  // null: row r of x is row r
};

struct Item {
  int expert = 0;
  int tile = 0;       // of weights
  int first_row = 0;  // of the token rows
  int rows = 0;
};

// Walks the items of a block. Token tiles of one tile of weights follow each other, so that its
// weights are in L2 when other blocks read them again.
class Items {
 public:
  __device__ bool take(const Product& p, const Scratch& scratch, Item& item) {
    if (next_ >= scratch.first_token_tile[p.experts] * p.tiles) return false;
    while (next_ >= scratch.first_token_tile[expert_ + 1] * p.tiles) ++expert_;
    const int first = scratch.first_token_tile[expert_];
    const int token_tiles = scratch.first_token_tile[expert_ + 1] - first;
    const int within = next_ - first * p.tiles;
    const int begin = p.offsets[expert_], rows = p.offsets[expert_ + 1] - begin;
    const int each = rows_of_tile(rows, kTokens), token_tile = within % token_tiles;
    item.expert = expert_;
    item.tile = within / token_tiles;
    item.first_row = begin + token_tile * each;
    item.rows = min(each, rows - token_tile * each);
    next_ += static_cast<int>(gridDim.x);
    return true;
  }

 private:
  int next_ = static_cast<int>(blockIdx.x), expert_ = 0;
};

// By one warp.
__device__ void count_token_tiles(const Product& p, Scratch& scratch, int lane) {
  int before = 0;
  for (int first = 0; first < p.experts; first += 32) {
    const int e = first + lane;
    int sum = e < p.experts ? token_tiles(p.offsets[e + 1] - p.offsets[e], kTokens) : 0;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other = __shfl_up_sync(~0u, sum, offset);
      if (lane >= offset) sum += other;
    }
    if (e < p.experts) scratch.first_token_tile[e + 1] = before + sum;
    before += __shfl_sync(~0u, sum, 31);
  }
  if (lane == 0) scratch.first_token_tile[0] = 0;
}

// The UE8M0 code of a power of two, for each of the four groups of 32 that share it.
__device__ std::uint32_t four_scales(float scale) {
  return (bits_of(scale) >> 23) * 0x01010101u;
}

// Fills stage `slot` of the ring: every kStages-th block of 128 channels, across items. One warp.
__device__ void fill_stages(const Product& p, const CUtensorMap& codes, Scratch& scratch,
                            std::uint8_t* stage, int slot, int lane) {
  const std::uint32_t x = hopper::shared_address(stage) + kXAt;
  const int blocks = p.in / kDepth;
  std::uint32_t parity = 1;  // of the last emptying: a fresh barrier lets pass
  int block = slot;
  Items items;
  Item item;
  while (items.take(p, scratch, item)) {
    const int row = item.expert * p.out + item.tile * p.rows_apart;
    int token[kTokens / 32];  // of columns lane + 32 j
#pragma unroll
    for (int j = 0; j < kTokens / 32; ++j) {
      const int r = item.first_row + min(lane + 32 * j, item.rows - 1);
      token[j] = p.row_token == nullptr ? r : p.row_token[r];
    }
    for (; block < blocks; block += kStages) {
      blackwell::barrier_wait(&scratch.empty[slot], parity);
      parity ^= 1;
      if (lane == 0) {
        hopper::barrier_expect(&scratch.full[slot], kCopiedBytes);
        hopper::tensor_copy_2d(stage, &codes, block * kDepth, row, &scratch.full[slot]);
        hopper::tensor_copy_2d(stage + kHalfBytes, &codes, block * kDepth, row + p.halves_apart,
                               &scratch.full[slot]);
      }
      std::uint32_t weight_scales[2][4], x_scales[4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const std::int64_t r = row + half * p.halves_apart + lane + 32 * j;
          weight_scales[half][j] = *reinterpret_cast<const std::uint32_t*>(
              p.scales + r * (p.in / kExpertScaleBlock) + block * (kDepth / kExpertScaleBlock));
        }
      }
#pragma unroll
      for (int j = 0; j < kTokens / 32; ++j) {
        x_scales[j] = four_scales(p.x.scales[block * p.x.scale_stride + token[j]]);
      }
      // Four rows at a time, eight lanes each.
#pragma unroll
      for (int i = 0; i < kTokens / 4; ++i) {
        const int n = 4 * i + lane / 8, chunk = lane % 8;
        const std::int64_t from = __shfl_sync(~0u, token[i / 8], n % 32);
        if (n < item.rows) {
          hopper::cp_async_16(x + static_cast<std::uint32_t>(n * kDepth + ((chunk ^ (n % 8)) * 16)),
                              p.x.codes + from * p.in + block * kDepth + chunk * 16);
        }
      }
      hopper::cp_async_commit();
      const auto store = [&](int at, const std::uint32_t(&words)[4]) {
        *reinterpret_cast<uint4*>(stage + at + lane * 16) =
            make_uint4(words[0], words[1], words[2], words[3]);
      };
      store(kWeightScalesAt, weight_scales[0]);
      store(kWeightScalesAt + kScaleTileBytes, weight_scales[1]);
      store(kXScalesAt, x_scales);
      hopper::cp_async_wait<0>();
      hopper::fence_async_shared();
      hopper::barrier_arrive(&scratch.full[slot]);
    }
    block -= blocks;
  }
  // Nothing may arrive at a barrier of a block that has ended.
  blackwell::barrier_wait(&scratch.empty[slot], parity);
}

// Issues all products of the block. One thread.
__device__ void multiply(const Product& p, Scratch& scratch, std::uint32_t ring) {
  const std::uint32_t base = scratch.tensor_memory;
  hopper::RingPosition<kStages> at;
  int turn = 0;
  Items items;
  Item item;
  for (; items.take(p, scratch, item); ++turn) {
    const int buffer = turn % 2;
    const auto parity = static_cast<std::uint32_t>(turn / 2 % 2);
    blackwell::barrier_wait(&scratch.sums_empty[buffer], parity ^ 1);
    blackwell::fence_after_sync();
    const std::uint32_t instruction = blackwell::instruction(
        blackwell::Mxf8f6f4::e2m1, blackwell::Mxf8f6f4::e4m3, (item.rows + 15) / 16 * 16);
    const std::uint32_t sums = base + static_cast<std::uint32_t>(buffer * kSumColumns);
    for (int block = 0; block < p.in / kDepth; ++block, at.advance()) {
      blackwell::barrier_wait(&scratch.full[at.stage], at.parity);
      blackwell::fence_after_sync();
      const std::uint32_t stage = ring + static_cast<std::uint32_t>(at.stage * kStageBytes);
      const std::uint32_t scales =
          base + static_cast<std::uint32_t>(kScalesColumn + at.stage * kScaleColumns);
      const std::uint64_t tiles = blackwell::describe_scales(stage + kWeightScalesAt);
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        blackwell::copy_scales(scales + static_cast<std::uint32_t>(4 * i),
                               tiles + blackwell::further(i * kScaleTileBytes));
      }
      const std::uint64_t w = blackwell::describe_k_major(stage);
      const std::uint64_t x = blackwell::describe_k_major(stage + kXAt);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int k = 0; k < kDepth / kStep; ++k) {
          blackwell::product_mxf8f6f4(
              sums + static_cast<std::uint32_t>(half * kTokens),
              w + blackwell::further(half * kHalfBytes + k * kStep),
              x + blackwell::further(k * kStep), instruction | blackwell::first_scale(k),
              scales + static_cast<std::uint32_t>(4 * half), scales + 8, block > 0 || k > 0);
        }
      }
      blackwell::commit(&scratch.empty[at.stage]);
    }
    blackwell::commit(&scratch.sums_full[buffer]);
  }
}

// A thread of the four warps that finish tiles: it has row `channel` of both halves.
struct Finisher {
  int channel = 0;  // 0..127
  std::uint32_t sums = 0;
  std::uint64_t* sums_empty = nullptr;

  // All sums have been read.
  __device__ void release() const {
    blackwell::fence_before_sync();
    hopper::barrier_arrive(sums_empty);
  }
};

// W1 and W3 side by side in a tile; SwiGLU, route weight and the quantiser of W2's input behind.
struct GateUp {
  const float* row_weight = nullptr;
  float limit = 0;
  Fp8Rows a = {};
  int intermediate = 0;

  __device__ void finish(const Item& item, const Finisher& f, Scratch& scratch) const {
    const int warp = f.channel / 32;
    for (int first = 0; first < item.rows; first += 16) {
      std::uint32_t gates[16], ups[16];
      blackwell::load_columns(f.sums + static_cast<std::uint32_t>(first), gates);
      blackwell::load_columns(f.sums + static_cast<std::uint32_t>(kTokens + first), ups);
      blackwell::wait_loaded(gates, ups);
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        const int n = first + i;
        const float gate = fminf(__uint_as_float(gates[i]), limit);
        const float up = fminf(fmaxf(__uint_as_float(ups[i]), -limit), limit);
        const float weight = row_weight[item.first_row + min(n, item.rows - 1)];
        const Bf16 value = to_bf16(gate / (1.0f + expf(-gate)) * up * weight);
        scratch.activated[n][f.channel] = value;
        // Magnitudes order as their bits do.
        const std::uint32_t largest = __reduce_max_sync(~0u, bits_of(fabsf(to_float(value))));
        if (f.channel % 32 == 0) scratch.largest[warp][n] = largest;
      }
    }
    f.release();
    hopper::named_sync(1, kFinishingThreads);
    // 16 channels of a row at a time.
    constexpr int kParts = kHalfRows / 16;
    for (int i = f.channel; i < item.rows * kParts; i += kFinishingThreads) {
      const int n = i / kParts, part = i % kParts;
      std::uint32_t largest = 0;
#pragma unroll
      for (int w = 0; w < kFinishingWarps; ++w) largest = max(largest, scratch.largest[w][n]);
      const std::uint8_t scale = fp8_block_scale(__uint_as_float(largest));
      const float inverse = inverse_scale(scale);
      std::uint32_t words[4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float v[8];
        unpack(*reinterpret_cast<const Bf16x8*>(&scratch.activated[n][16 * part + 8 * half]), v);
        words[2 * half] = pack_e4m3(v[0] * inverse, v[1] * inverse, v[2] * inverse, v[3] * inverse);
        words[2 * half + 1] =
            pack_e4m3(v[4] * inverse, v[5] * inverse, v[6] * inverse, v[7] * inverse);
      }
      const std::int64_t row = item.first_row + n;
      *reinterpret_cast<uint4*>(a.codes + row * intermediate + item.tile * kHalfRows + 16 * part) =
          make_uint4(words[0], words[1], words[2], words[3]);
      if (part == 0) a.scales[item.tile * a.scale_stride + row] = ue8m0_to_float(scale);
    }
    // Before the next tile's activations are written.
    hopper::named_sync(1, kFinishingThreads);
  }
};

struct Down {
  Bf16* y = nullptr;
  int hidden = 0;

  __device__ void finish(const Item& item, const Finisher& f, Scratch&) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Bf16* to = y + static_cast<std::int64_t>(item.first_row) * hidden + item.tile * kTileRows +
                 half * kHalfRows + f.channel;
      for (int first = 0; first < item.rows; first += 16) {
        std::uint32_t sums[16];
        blackwell::load_columns(f.sums + static_cast<std::uint32_t>(half * kTokens + first), sums);
        blackwell::wait_loaded(sums);
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int n = first + i;
          if (n < item.rows) {
            to[static_cast<std::int64_t>(n) * hidden] = to_bf16(__uint_as_float(sums[i]));
          }
        }
      }
    }
    f.release();
  }
};

template <class Kind>
__global__ void __launch_bounds__(kThreads, 1)
    experts_mxfp4(const __grid_constant__ Product p, const __grid_constant__ CUtensorMap codes,
                  const __grid_constant__ Kind kind) {
  std::uint8_t* const shared = blackwell::dynamic_shared();
  Scratch& scratch = *reinterpret_cast<Scratch*>(shared + kStages * kStageBytes);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (warp == 0) {
    count_token_tiles(p, scratch, lane);
  } else if (warp == 1 && lane == 0) {
    for (int slot = 0; slot < kStages; ++slot) {
      // All lanes of the warp that fills it, and one more arrival with the bytes to come.
      hopper::barrier_init(&scratch.full[slot], 32 + 1);
      hopper::barrier_init(&scratch.empty[slot], 1);
    }
    for (int buffer = 0; buffer < 2; ++buffer) {
      hopper::barrier_init(&scratch.sums_full[buffer], 1);
      hopper::barrier_init(&scratch.sums_empty[buffer], kFinishingThreads);
    }
    hopper::barrier_init_fence();
  } else if (warp == kProductWarp) {
    blackwell::tensor_memory_alloc<kColumns>(&scratch.tensor_memory);
    blackwell::tensor_memory_relinquish();
    blackwell::fence_before_sync();
  }
  __syncthreads();
  blackwell::fence_after_sync();

  if (warp < kFinishingWarps) {
    const auto lanes = static_cast<std::uint32_t>(32 * warp) << 16;
    Items items;
    Item item;
    for (int turn = 0; items.take(p, scratch, item); ++turn) {
      const int buffer = turn % 2;
      blackwell::barrier_wait(&scratch.sums_full[buffer], static_cast<std::uint32_t>(turn / 2 % 2));
      blackwell::fence_after_sync();
      const Finisher finisher{
          static_cast<int>(threadIdx.x),
          scratch.tensor_memory + lanes + static_cast<std::uint32_t>(buffer * kSumColumns),
          &scratch.sums_empty[buffer]};
      kind.finish(item, finisher, scratch);
    }
  } else if (warp < kProductWarp) {
    const int slot = warp - kFinishingWarps;
    fill_stages(p, codes, scratch, shared + slot * kStageBytes, slot, lane);
  } else if (lane == 0) {
    multiply(p, scratch, hopper::shared_address(shared));
  }
  __syncwarp();
  blackwell::fence_before_sync();
  __syncthreads();
  blackwell::fence_after_sync();
  if (warp == kProductWarp) blackwell::tensor_memory_free<kColumns>(scratch.tensor_memory);
}

template <class Kind>
void launch_experts(const Product& product, const std::uint8_t* codes, const Kind& kind,
                    Stream stream) {
  const CUtensorMap map = tensor_map(CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B, codes,
                                     std::int64_t{product.experts} * product.out, product.in,
                                     product.in / 2, kHalfRows, kDepth);
  blackwell::launch(experts_mxfp4<Kind>, blackwell::multiprocessors(), kThreads, kSharedBytes,
                    stream, product, map, kind);
}

void launch_gate_up(const GateUpArgs& args, void*, Stream stream) {
  if (args.max_rows == 0) return;
  launch_experts(
      Product{args.experts, args.hidden, 2 * args.intermediate, 2 * args.intermediate / kTileRows,
              kHalfRows, args.intermediate, args.x, args.w13.scales, args.offsets, args.row_token},
      args.w13.codes, GateUp{args.row_weight, args.limit, args.a, args.intermediate}, stream);
}

void launch_down(const DownArgs& args, void*, Stream stream) {
  if (args.max_rows == 0) return;
  launch_experts(Product{args.experts, args.intermediate, args.hidden, args.hidden / kTileRows,
                         kTileRows, kHalfRows, args.a, args.w2.scales, args.offsets, nullptr},
                 args.w2.codes, Down{args.y, args.hidden}, stream);
}

constexpr std::string_view kIdea =
    "FP4 codes and scales as they are, block-scaled tcgen05 products";
const Register<GateUpArgs> kGateUp{{.name = "sm100a_mxfp4",
                                    .target = Target::sm100a,
                                    .preference = 10,
                                    .never_run = true,
                                    .idea = kIdea,
                                    .refuses = refuses,
                                    .launch = launch_gate_up}};
const Register<DownArgs> kDown{{.name = "sm100a_mxfp4",
                                .target = Target::sm100a,
                                .preference = 10,
                                .never_run = true,
                                .idea = kIdea,
                                .refuses = refuses,
                                .launch = launch_down}};

}  // namespace
}  // namespace v4cap::kernels::experts
