// Experts as a stream of weights: what the versions share. Persistent blocks of 512 threads walk a
// list of items made from the offsets on the device (launch.h); the weights of an item pass through
// a ring of stages in shared memory that runs ahead across items, filled by cp.async.
//
// Roles in the tile. Weights are the M side of the products, 16 rows a warp; the tokens' rows are
// N, as wide as the item has rows (8, 16, 32, 64), so that few rows cost little. Thread (g, q) =
// (lane /
// 4, lane % 4) of a warp holds products of the warp's rows g and g + 8 with columns 8 t + 2 q + {0,
// 1}. Any 16 rows of the weights may be a warp's:
//   gate_up   row g is gate channel c, row g + 8 up channel c: SwiGLU needs no exchange
//   down      rows g and g + 8 are neighbouring channels: bf16 pairs are stored
// Which c belongs to which g is chosen so that g = 2 i and 2 i + 1 lie four rows apart (mod 8):
// where a row of codes is 128 bytes in the 128-byte swizzle, 8 lanes that read 16 bytes reach all
// banks.
//
// Math, the product of a stage, is a policy with
//   kXBytes                            bytes of the tokens' codes of a stage
//   code_slot(warp, g, row, chunk)     where 16 bytes of codes lie: row 0, 1 for g, g + 8
//   load_x(x, n, lane, from)           copies 256 codes of column n; all lanes of a warp
//   arrived()                          called when copies of this thread have landed
//   stage<N>(slot, acc)                acc[4 t + 2 h + i] += products with row g + 8 h
#pragma once

#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/check.h"
#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/hopper.cuh"
#include "kernels/experts/launch.h"
#include "kernels/registry.h"

namespace v4cap::kernels::experts {

inline constexpr int kThreads = 512;
inline constexpr int kWarps = kThreads / 32;
inline constexpr int kStages = 4;
inline constexpr int kXRowsOfWarp = kTileTokens / kWarps;

// A stage: 128 bytes of codes and 8 of scales for each of 256 rows of weights, two scales and 256
// codes for each column.
inline constexpr int kCodeBytes = kTileRows * kStageDepth / 2;
inline constexpr int kScaleBytes = kTileRows * kStageDepth / kExpertScaleBlock;
inline constexpr int kXScaleBytes = kStageDepth / kGemmScaleBlock * kTileTokens * 4;
inline constexpr int kScalesAt = kCodeBytes;
inline constexpr int kXScalesAt = kScalesAt + kScaleBytes;
inline constexpr int kXAt = kXScalesAt + kXScaleBytes;

// The product, whichever of the two it is.
struct Product {
  int experts = 0;
  int in = 0;
  int tiles = 0;       // of 256 rows of weights
  int out = 0;         // rows of an expert's weights
  int second_row = 0;  // from the weight row of g to that of g + 8
  Fp8Rows x = {};
  Fp4Weights w = {};
  const std::int32_t* offsets = nullptr;
  const std::int32_t* row_token = nullptr;  // null: row r of x is row r
};

struct Item {
  int expert = 0;
  int tile = 0;       // of weights
  int first_row = 0;  // of the token rows
  int rows = 0;
};

// Who a thread is. Read anew wherever it is asked for: numbers made from it would otherwise be kept
// in registers over the whole kernel, which has none to spare.
struct Thread {
  __device__ Thread() {
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
    warp = index / 32;
    lane = index % 32;
    g = lane / 4;
    q = lane % 4;
  }
  int index, warp, lane, g, q;
};

// What lies behind the ring.
struct Scratch {
  float largest[kWarps][kTileTokens];
  std::uint8_t codes[kTileTokens][kGemmScaleBlock];
  float inverse[kTileTokens];
  float weight[kTileTokens];
  std::int32_t first_token_tile[kMaxExperts + 1];  // token tiles of all experts before
  std::int32_t offsets[kMaxExperts + 1];
};

__device__ inline void cp_async_4(std::uint32_t to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
__device__ inline void cp_async_8(std::uint32_t to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory");
}
__device__ inline uint4 load_shared_16(std::uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}
__device__ inline uint2 load_shared_8(std::uint32_t address) {
  uint2 v;
  asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(address));
  return v;
}
__device__ inline std::uint32_t load_shared_4(std::uint32_t address) {
  std::uint32_t v = 0;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
}
__device__ inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b,
                                              std::uint32_t selector) {
  std::uint32_t v = 0;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(v) : "r"(a), "r"(b), "r"(selector));
  return v;
}

// A barrier of the threads that multiply; there may be others.
__device__ inline void sync_products() {
  hopper::named_sync(7, kThreads);
}

// The scales of a thread's two rows in a stage: row g in x (first 128 channels) and y, row g + 8 in
// z and w; a byte for each 32 channels.
__device__ inline uint4 row_scales(std::uint32_t slot) {
  const Thread t;
  return load_shared_16(slot + kScalesAt + static_cast<std::uint32_t>(t.warp * 16 + t.g * 2) * 8);
}

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
    const int begin = scratch.offsets[expert_], rows = scratch.offsets[expert_ + 1] - begin;
    const int each = rows_of_tile(rows), token_tile = within % token_tiles;
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

// Fills stages, ahead of their use and across items.
template <class Kind, class Math>
class Loader {
 public:
  // The next stage, or nothing at the end; a group of copies in both cases.
  __device__ void load(const Product& p, const Scratch& scratch, std::uint32_t slot) {
    const Thread t;
    if (depth_ == p.in) start(p, scratch);
    if (rows_ > 0) {
      const std::int64_t row_bytes = p.in / 2;
      const std::uint8_t* codes = p.w.codes + row_ * row_bytes + (depth_ / 2 + 16 * t.q);
      const std::int64_t other_row = p.second_row * row_bytes;
#pragma unroll
      for (int chunk = 0; chunk < 2; ++chunk) {
        hopper::cp_async_16(slot + Math::code_slot(t.warp, t.g, 0, t.q + 4 * chunk),
                            codes + 64 * chunk);
        hopper::cp_async_16(slot + Math::code_slot(t.warp, t.g, 1, t.q + 4 * chunk),
                            codes + other_row + 64 * chunk);
      }
      if (t.q < 2) {
        const std::int64_t row = row_ + (t.q == 1 ? p.second_row : 0);
        cp_async_8(slot + kScalesAt + static_cast<std::uint32_t>(t.warp * 16 + t.g * 2 + t.q) * 8,
                   p.w.scales + row * (p.in / kExpertScaleBlock) + depth_ / kExpertScaleBlock);
      }
#pragma unroll
      for (int i = 0; i < kXRowsOfWarp; ++i) {
        const int n = t.warp + kWarps * i;
        if (n < rows_) {
          const std::int64_t at =
              static_cast<std::int64_t>(__shfl_sync(~0u, token_, i)) * p.in + depth_;
          Math::load_x(slot + kXAt, n, t.lane, p.x.codes + at);
        }
      }
      if (t.index < 2 * kTileTokens && t.index % kTileTokens < rows_) {
        const int block = depth_ / kGemmScaleBlock + t.index / kTileTokens;
        cp_async_4(slot + kXScalesAt + static_cast<std::uint32_t>(t.index) * 4,
                   p.x.scales + block * p.x.scale_stride + scale_token_);
      }
      depth_ += kStageDepth;
    }
    hopper::cp_async_commit();
  }

  __device__ void start(const Product& p, const Scratch& scratch) {
    const Thread t;
    Item item;
    rows_ = 0;
    if (!items_.take(p, scratch, item)) return;
    depth_ = 0;
    rows_ = item.rows;
    row_ = item.expert * p.out + item.tile * Kind::kRowsOfWeights + Kind::row_in_tile(t.warp, t.g);
    token_ = token(p, item, t.warp + kWarps * (t.lane % kXRowsOfWarp));
    scale_token_ = token(p, item, t.index % kTileTokens);
  }

 private:
  __device__ int token(const Product& p, const Item& item, int n) {
    const int row = item.first_row + min(n, item.rows - 1);
    return p.row_token == nullptr ? row : p.row_token[row];
  }

  Items items_;
  int depth_ = 0, rows_ = 0;  // rows_ 0: all items are loaded
  int row_ = 0;               // of the weights, the thread's first
  int scale_token_ = 0;
  int token_ = 0;  // lane i: of the warp's column i
};

template <class Math>
inline constexpr int kSlotBytes = (kXAt + Math::kXBytes + 127) / 128 * 128;
template <class Math>
inline constexpr int kSharedBytes = kStages* kSlotBytes<Math> + static_cast<int>(sizeof(Scratch));

__device__ inline void count_token_tiles(const Product& p, Scratch& scratch) {
  const Thread t;
  if (t.warp == 0) {
    int before = 0;
    for (int first = 0; first < p.experts; first += 32) {
      const int e = first + t.lane;
      int sum = 0;
      if (e < p.experts) {
        const int begin = p.offsets[e], end = p.offsets[e + 1];
        sum = token_tiles(end - begin);
        scratch.offsets[e + 1] = end;
        if (e == 0) scratch.offsets[0] = begin;
      }
#pragma unroll
      for (int offset = 1; offset < 32; offset *= 2) {
        const int other = __shfl_up_sync(~0u, sum, offset);
        if (t.lane >= offset) sum += other;
      }
      if (e < p.experts) scratch.first_token_tile[e + 1] = before + sum;
      before += __shfl_sync(~0u, sum, 31);
    }
    if (t.lane == 0) scratch.first_token_tile[0] = 0;
  }
  __syncthreads();
}

// W1 and W3 side by side in a tile; SwiGLU, route weight and the quantiser of W2's input behind.
struct GateUp {
  const float* row_weight = nullptr;
  float limit = 0;
  Fp8Rows a = {};
  int intermediate = 0;

  // A tile is 128 rows of W1 and the same of W3; warp and g to the row of the tile, and from gate
  // to up.
  static constexpr int kRowsOfWeights = kTileRows / 2;
  static constexpr int kToSecondRow = kTileRows / 2;
  __device__ static int row_in_tile(int warp, int g) { return warp * 8 + (g / 2 + g % 2 * 4); }
  __device__ void begin(const Item& item, Scratch& scratch) const {
    const Thread t;
    if (t.index < item.rows) scratch.weight[t.index] = row_weight[item.first_row + t.index];
  }
  template <int kN>
  __device__ void end(const Item& item, float (&acc)[kN / 2], Scratch& scratch) const {
    const Thread t;
    sync_products();  // the weights of begin() are there
                      // acc[4 t + i] becomes the activation of column 8 t + 2 q + i.
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int n = 8 * j + 2 * t.q + i;
        const float gate = fminf(acc[4 * j + i], limit);
        const float up = fminf(fmaxf(acc[4 * j + 2 + i], -limit), limit);
        const float value = gate / (1.0f + expf(-gate)) * up * scratch.weight[n];
        acc[4 * j + i] = to_float(to_bf16(value));
        float largest = fabsf(acc[4 * j + i]);
#pragma unroll
        for (int offset = 4; offset < 32; offset *= 2) {
          largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, offset));
        }
        if (t.g == 0) scratch.largest[t.warp][n] = largest;
      }
    }
    sync_products();
    if (t.index < kN) {
      float largest = 0;
#pragma unroll
      for (int warp = 0; warp < kWarps; ++warp) {
        largest = fmaxf(largest, scratch.largest[warp][t.index]);
      }
      const std::uint8_t scale = fp8_block_scale(largest);
      scratch.inverse[t.index] = inverse_scale(scale);
      if (t.index < item.rows) {
        a.scales[item.tile * a.scale_stride + item.first_row + t.index] = ue8m0_to_float(scale);
      }
    }
    sync_products();
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int n = 8 * j + 2 * t.q + i;
        scratch.codes[n][row_in_tile(t.warp, t.g)] = static_cast<std::uint8_t>(
            __nv_cvt_float_to_fp8(acc[4 * j + i] * scratch.inverse[n], __NV_SATFINITE, __NV_E4M3));
      }
    }
    sync_products();
    constexpr int kChunks = kGemmScaleBlock / 16;
    for (int i = t.index; i < item.rows * kChunks; i += kThreads) {
      const std::int64_t row = item.first_row + i / kChunks;
      const std::int64_t channel = item.tile * kGemmScaleBlock + i % kChunks * 16;
      *reinterpret_cast<uint4*>(a.codes + row * intermediate + channel) =
          *reinterpret_cast<const uint4*>(&scratch.codes[i / kChunks][i % kChunks * 16]);
    }
  }
};

struct Down {
  Bf16* y = nullptr;
  int hidden = 0;

  static constexpr int kRowsOfWeights = kTileRows;
  static constexpr int kToSecondRow = 1;
  __device__ static int row_in_tile(int warp, int g) {
    return warp * 16 + 2 * (g / 4 * 4 + g % 2 * 2 + g / 2 % 2);
  }
  __device__ void begin(const Item&, Scratch&) const {}
  template <int kN>
  __device__ void end(const Item& item, float (&acc)[kN / 2], Scratch&) const {
    const Thread t;
    Bf16* to = y + static_cast<std::int64_t>(item.first_row) * hidden + item.tile * kTileRows +
               row_in_tile(t.warp, t.g);
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int n = 8 * j + 2 * t.q + i;
        if (n < item.rows) {
          *reinterpret_cast<__nv_bfloat162*>(to + static_cast<std::int64_t>(n) * hidden) =
              __floats2bfloat162_rn(acc[4 * j + i], acc[4 * j + 2 + i]);
        }
      }
    }
  }
};

// The stages of one item. `next` is the ring position of its first stage.
template <int kN, class Kind, class Math>
__device__ void run_item(const Product& p, const Kind& kind, const Item& item, std::uint32_t ring,
                         int& next, Loader<Kind, Math>& loader, Scratch& scratch) {
  float acc[kN / 2] = {};
  for (int depth = 0; depth < p.in; depth += kStageDepth) {
    hopper::cp_async_wait<kStages - 2>();
    Math::arrived();
    // Every thread has its part of this stage, and has left the stage that is filled next.
    __syncthreads();
    loader.load(
        p, scratch,
        ring + static_cast<std::uint32_t>((next + kStages - 1) % kStages * kSlotBytes<Math>));
    Math::template stage<kN>(ring + static_cast<std::uint32_t>(next * kSlotBytes<Math>), acc);
    next = (next + 1) % kStages;
  }
  kind.template end<kN>(item, acc, scratch);
}

template <class Kind, class Math>
__global__ void __launch_bounds__(kThreads, 1)
    stream_experts(const __grid_constant__ Product p, const __grid_constant__ Kind kind) {
  extern __shared__ __align__(1024) std::uint8_t shared[];
  const std::uint32_t ring = hopper::shared_address(shared);
  Scratch& scratch = *reinterpret_cast<Scratch*>(shared + kStages * kSlotBytes<Math>);
  count_token_tiles(p, scratch);
  Loader<Kind, Math> loader;
  loader.start(p, scratch);
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) {
    loader.load(p, scratch, ring + static_cast<std::uint32_t>(stage * kSlotBytes<Math>));
  }
  Items items;
  Item item;
  int next = 0;
  while (items.take(p, scratch, item)) {
    kind.begin(item, scratch);
    switch (columns_for(item.rows)) {
      case 8:
        run_item<8>(p, kind, item, ring, next, loader, scratch);
        break;
      case 16:
        run_item<16>(p, kind, item, ring, next, loader, scratch);
        break;
      case 32:
        run_item<32>(p, kind, item, ring, next, loader, scratch);
        break;
      default:
        run_item<64>(p, kind, item, ring, next, loader, scratch);
    }
  }
  hopper::cp_async_wait<0>();
}

inline unsigned multiprocessors() {
  int device = 0, count = 0;
  V4CAP_CUDA(cudaGetDevice(&device));
  V4CAP_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return static_cast<unsigned>(count);
}

inline Product product_of(const GateUpArgs& args) {
  return {args.experts,
          args.hidden,
          2 * args.intermediate / kTileRows,
          2 * args.intermediate,
          args.intermediate,
          args.x,
          args.w13,
          args.offsets,
          args.row_token};
}
inline GateUp kind_of(const GateUpArgs& args) {
  return {args.row_weight, args.limit, args.a, args.intermediate};
}
inline Product product_of(const DownArgs& args) {
  return {args.experts,
          args.intermediate,
          args.hidden / kTileRows,
          args.hidden,
          1,
          args.a,
          args.w2,
          args.offsets,
          nullptr};
}
inline Down kind_of(const DownArgs& args) {
  return {args.y, args.hidden};
}

template <class Math, class Args>
void launch_stream(const Args& args, void*, Stream stream) {
  if (args.max_rows == 0) return;
  const auto kind = kind_of(args);
  const auto kernel = stream_experts<std::remove_const_t<decltype(kind)>, Math>;
  V4CAP_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  kSharedBytes<Math>));
  kernel<<<multiprocessors(), kThreads, kSharedBytes<Math>, stream>>>(product_of(args), kind);
  V4CAP_LAUNCHED("experts");
}

}  // namespace v4cap::kernels::experts
