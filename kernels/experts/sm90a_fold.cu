// Experts by wgmma, FP4 codes turned into FP8 codes in registers.
// Idea    : the weights are the A operand, which wgmma takes from registers. A byte permute looks four
//           codes up in a table of eight e4m3 codes, and the table holds the weight's scale too: the
//           scale of a row's group of 32 over that of the row's first group of 128 channels is a
//           power of two, which is added to the exponents. e4m3 holds all of 0.5..6 times 2^-5..2^6
//           exactly; groups further apart (no checkpoint has them) take four products instead of
//           one, each with the codes of the other groups set to zero, so any scales are right.
//           Thread q of a row reads 16 bytes, one whole group; K is permuted accordingly, in the
//           tokens' codes too: word 8 q + 2 s + h of 128 channels is word q of half h of step s.
// Shape   : items, tiles and epilogues of stream.cuh. 16 warps multiply; four more fill the ring, the
//           codes by bulk tensor copies, scales and tokens (gathered, permuted) by cp.async. They also
//           look whether all scales of a stage are near enough.
// Traffic : 17/32 B a weight, once for each 64 rows of an expert: bound by memory up to ~32 rows an
//           expert; beyond by the expansion (9 integer operations for 8 weights, whatever N is).
#include "kernels/cuda/tensor_map.h"
#include "kernels/experts/stream.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::experts {
namespace {

constexpr int kFillWarps = 4;
constexpr int kAllThreads = kThreads + 32 * kFillWarps;
constexpr int kRing = 4;
constexpr int kBoxRows = 128;

// Units of 16 channels, each [64 columns][16 bytes] and 16 bytes of padding against bank conflicts.
constexpr int kUnitBytes = (kTileTokens + 1) * 16;
constexpr int kUnits = kStageDepth / 16;
// A slot: codes [256][128] in 128-byte swizzle, scales [256][8], scales of the columns, tokens'
// codes, and of every filling warp a byte: whether some rows' groups are too far apart.
constexpr int kFlagsAt = kXAt + kUnits * kUnitBytes;
constexpr int kRingSlotBytes = (kFlagsAt + kFillWarps + 1023) / 1024 * 1024;
// Copies of a stage are waited for when those of the next kLag are on their way.
constexpr int kLag = 2;

struct Shared {
  std::uint8_t ring[kRing][kRingSlotBytes];
  Scratch scratch;
  std::uint64_t full[kRing], empty[kRing];
};

// Binades between the largest and the smallest scale of a row that e4m3 has room for, and how many
// of them lie below the first group's.
constexpr int kSpan = 11, kBelow = 5;

__device__ std::uint32_t byte(std::uint32_t word, int i) {
  return word >> (8 * i) & 0xffu;
}

// No swizzle: cores of 8 columns x 16 bytes, the second half of K a unit further.
__device__ std::uint64_t describe(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) |
         static_cast<std::uint64_t>(kUnitBytes >> 4) << 16 | std::uint64_t{128 >> 4} << 32;
}

// How far the exponents of a group of a row are raised.
__device__ std::uint32_t raise_of(std::uint32_t scales_of_row, int group) {
  return byte(scales_of_row, group) - byte(scales_of_row, 0) + kBelow;
}
// Whether e4m3 has no room for that, or the first scale is no normal float.
__device__ bool apart(std::uint32_t scales_of_row) {
  return (raise_of(scales_of_row, 1) > kSpan) | (raise_of(scales_of_row, 2) > kSpan) |
         (raise_of(scales_of_row, 3) > kSpan) | (byte(scales_of_row, 0) == 0);
}

// ---- filling the ring ----

// When this warp's copies of a stage have landed: tells whether the scales are near, and arrives.
__device__ void publish(Shared& shared, int stage, int warp, int lane) {
  const std::uint32_t slot = hopper::shared_address(shared.ring[stage]);
  __syncwarp();
  const int row = warp * (kTileRows / kFillWarps) + 2 * lane;
  const uint4 scales = load_shared_16(slot + static_cast<std::uint32_t>(kScalesAt + row * 8));
  const bool far =
      __any_sync(~0u, apart(scales.x) | apart(scales.y) | apart(scales.z) | apart(scales.w));
  if (lane == 0) shared.ring[stage][kFlagsAt + warp] = far ? 1 : 0;
  hopper::fence_async_shared();  // wgmma reads what cp.async has written
  __syncwarp();
  if (lane == 0) hopper::barrier_arrive(&shared.full[stage]);
}

template <class Kind>
__device__ void fill_ring(const Product& p, const CUtensorMap& map, Shared& shared) {
  const int lane = Thread().lane, warp = Thread().warp - kWarps;
  const int second_box = Kind::kToSecondRow == 1 ? kBoxRows : p.second_row;
  const std::int64_t scales_of_row = p.in / kExpertScaleBlock;
  constexpr int kRowsOfWarp = kTileRows / kFillWarps;
  // Of the warp's rows of weights the first; they all lie in one box.
  const int first_row = warp * kRowsOfWarp % kBoxRows + warp * kRowsOfWarp / kBoxRows * second_box;
  Items items;
  Item item;
  hopper::RingPosition<kRing> at;
  int issued = 0;
  // The tokens of an item are asked for while the one before is loaded. Lane i has that of the
  // warp's column i, which is column warp + 4 i.
  const auto token_of = [&](const Item& of) {
    const int r = of.first_row + min(warp + kFillWarps * lane, of.rows - 1);
    return p.row_token == nullptr ? r : p.row_token[r];
  };
  Item ahead;
  bool more = items.take(p, shared.scratch, ahead);
  int token_ahead = more ? token_of(ahead) : 0;
  while (more) {
    item = ahead;
    const int token = token_ahead;
    more = items.take(p, shared.scratch, ahead);
    if (more) token_ahead = token_of(ahead);
    const int row = item.expert * p.out + item.tile * Kind::kRowsOfWeights;
    const int columns = (item.rows - warp + kFillWarps - 1) / kFillWarps;
    for (int depth = 0; depth < p.in; depth += kStageDepth) {
      hopper::barrier_wait(&shared.empty[at.stage], at.parity ^ 1u);
      std::uint8_t* slot = shared.ring[at.stage];
      if (warp == 0 && lane == 0) {
        std::uint64_t* full = &shared.full[at.stage];
        hopper::barrier_expect(full, kCodeBytes);
        hopper::tensor_copy_2d(slot, &map, depth / 2, row, full);
        hopper::tensor_copy_2d(slot + kCodeBytes / 2, &map, depth / 2, row + second_box, full);
      }
      const std::uint32_t to = hopper::shared_address(slot);
#pragma unroll
      for (int i = 0; i < kRowsOfWarp; i += 32) {
        cp_async_8(
            to + static_cast<std::uint32_t>(kScalesAt + (warp * kRowsOfWarp + i + lane) * 8),
            p.w.scales + (row + first_row + i + lane) * scales_of_row + depth / kExpertScaleBlock);
      }
      const std::uint32_t x =
          to + static_cast<std::uint32_t>(kXAt + lane % 8 * kUnitBytes + lane / 8 * 4 + warp * 16);
      for (int i = 0; i < columns; ++i) {
        const std::int64_t of = __shfl_sync(~0u, token, i);
        const std::uint8_t* from = p.x.codes + of * p.in + (depth + 4 * lane);
        const std::uint32_t column = x + static_cast<std::uint32_t>(i * kFillWarps * 16);
        cp_async_4(column, from);
        cp_async_4(column + 8 * kUnitBytes, from + kGemmScaleBlock);
      }
      if (lane < columns) {
        const float* from = p.x.scales + depth / kGemmScaleBlock * p.x.scale_stride + token;
        const std::uint32_t place =
            to + static_cast<std::uint32_t>(kXScalesAt + (warp + kFillWarps * lane) * 4);
        cp_async_4(place, from);
        cp_async_4(place + kTileTokens * 4, from + p.x.scale_stride);
      }
      hopper::cp_async_commit();
      if (issued >= kLag) {
        hopper::cp_async_wait<kLag>();
        publish(shared, (at.stage + kRing - kLag) % kRing, warp, lane);
      }
      ++issued;
      at.advance();
    }
  }
  hopper::cp_async_wait<0>();
  for (int behind = min(kLag, issued); behind > 0; --behind) {
    publish(shared, (at.stage + kRing - behind) % kRing, warp, lane);
  }
}

// ---- multiplying ----

// e4m3 codes of 0, 0.5, 1, 1.5 and of 2, 3, 4, 6, all times 2^(raise - 5).
struct Table {
  std::uint32_t low, high;
  __device__ explicit Table(std::uint32_t raise)
      : low(0x14100800u + raise * 0x08080800u), high(0x24201c18u + raise * 0x08080808u) {}
};

// Eight e2m1 codes to e4m3: the first four and the last four.
__device__ void expand(std::uint32_t codes, const Table& table, std::uint32_t& first,
                       std::uint32_t& last) {
  const std::uint32_t magnitudes = codes & 0x77777777u;
  const std::uint32_t odd = codes << 4;  // signs of even codes where those of odd ones are
  first = permute_bytes(table.low, table.high, magnitudes) |
          (permute_bytes(odd, codes, 0x5140) & 0x80808080u);
  last = permute_bytes(table.low, table.high, magnitudes >> 16) |
         (permute_bytes(odd, codes, 0x7362) & 0x80808080u);
}
__device__ void expand(uint4 top, uint4 bottom, const Table& top_table, const Table& bottom_table,
                       std::uint32_t (&a)[4][4]) {
  const std::uint32_t tops[4] = {top.x, top.y, top.z, top.w};
  const std::uint32_t bottoms[4] = {bottom.x, bottom.y, bottom.z, bottom.w};
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    expand(tops[s], top_table, a[s][0], a[s][2]);
    expand(bottoms[s], bottom_table, a[s][1], a[s][3]);
  }
}

// Starts the product of 128 channels; `a` must stay until it is waited for, see keep().
template <int kN>
__device__ void start_product(float (&sum)[kN / 2], const std::uint32_t (&a)[4][4],
                              std::uint64_t x) {
  hopper::pin(sum);
  hopper::wgmma_fence();
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    hopper::wgmma_e4m3<kN>(sum, a[s], x + static_cast<unsigned>(2 * s * kUnitBytes >> 4), s > 0);
  }
  hopper::wgmma_commit();
}
__device__ void keep(const std::uint32_t (&a)[4][4]) {
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    asm volatile("" ::"r"(a[s][0]), "r"(a[s][1]), "r"(a[s][2]), "r"(a[s][3]));
  }
}

__device__ float first_scale(std::uint32_t scales_of_row) {
  return __uint_as_float(scales_of_row << 23 & 0x7f800000u);
}

// Scales of the thread's columns from `first` on, in 128 channels (`block`) of a stage.
template <int kPart>
__device__ void load_column_scales(std::uint32_t slot, int block, int q, int first,
                                   float2 (&scales)[kPart / 8]) {
#pragma unroll
  for (int t = 0; t < kPart / 8; ++t) {
    const uint2 bits =
        load_shared_8(slot + kXScalesAt +
                      static_cast<std::uint32_t>(block * kTileTokens + first + 8 * t + 2 * q) * 4);
    scales[t] = {__uint_as_float(bits.x), __uint_as_float(bits.y)};
  }
}
// acc += sum * scale of the row * scale of the column, for the columns from `first` on.
template <int kPart, int kN>
__device__ void add_scaled(float (&acc)[kN / 2], const float (&sum)[kPart / 2], float top,
                           float bottom, const float2 (&columns)[kPart / 8], int first) {
#pragma unroll
  for (int t = 0; t < kPart / 8; ++t) {
    float* to = acc + first / 2 + 4 * t;
    to[0] = fmaf(sum[4 * t + 0], top * columns[t].x, to[0]);
    to[1] = fmaf(sum[4 * t + 1], top * columns[t].y, to[1]);
    to[2] = fmaf(sum[4 * t + 2], bottom * columns[t].x, to[2]);
    to[3] = fmaf(sum[4 * t + 3], bottom * columns[t].y, to[3]);
  }
}

// Where a thread finds its first row in a slot; the second lies a fixed way off.
struct Place {
  std::uint32_t codes, scales;
  int q;
};
template <class Kind>
__device__ Place place_of() {
  const Thread t;
  const int row = Kind::row_in_tile(t.warp, t.g);
  return {static_cast<std::uint32_t>(row * 128 + ((t.q ^ (row % 8)) * 16)),
          static_cast<std::uint32_t>(kScalesAt + row * 8), t.q};
}
// Rows of the first kind are even: of the row behind it the chunks are exchanged in pairs.
template <class Kind>
__device__ std::uint32_t second_row(std::uint32_t codes) {
  return Kind::kToSecondRow == 1 ? (codes ^ 16u) + 128u : codes + Kind::kToSecondRow * 128u;
}

// One product for each group of 32 channels: right whatever the scales are.
template <int kN, class Kind>
__device__ void multiply_groups(std::uint32_t slot, const Place& place, float (&acc)[kN / 2]) {
  constexpr int kPart = kN < 32 ? kN : 32;
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    const int block = i / 4, group = i % 4;
    const std::uint32_t mask = place.q == group ? ~0u : 0u;
    const std::uint32_t codes = (slot + place.codes) ^ static_cast<std::uint32_t>(64 * block);
    uint4 top = load_shared_16(codes), bottom = load_shared_16(second_row<Kind>(codes));
    top = {top.x & mask, top.y & mask, top.z & mask, top.w & mask};
    bottom = {bottom.x & mask, bottom.y & mask, bottom.z & mask, bottom.w & mask};
    std::uint32_t a[4][4];
    expand(top, bottom, Table(kBelow), Table(kBelow), a);
    const std::uint32_t scales = slot + place.scales + static_cast<std::uint32_t>(4 * block);
    const auto scale = [&](std::uint32_t at) {
      return ue8m0_to_float(static_cast<std::uint8_t>(byte(load_shared_4(at), group)));
    };
#pragma unroll
    for (int first = 0; first < kN; first += kPart) {
      float sum[kPart / 2];
      start_product<kPart>(
          sum, a,
          describe(slot + kXAt + static_cast<std::uint32_t>(8 * block * kUnitBytes + first * 16)));
      hopper::wgmma_wait<0>();
      keep(a);
      hopper::pin(sum);
      float2 columns[kPart / 8];
      load_column_scales<kPart>(slot, block, place.q, first, columns);
      add_scaled<kPart, kN>(acc, sum, scale(scales), scale(scales + 8 * Kind::kToSecondRow),
                            columns, first);
    }
  }
}

template <int kN, class Kind>
__device__ void multiply_stage(std::uint32_t slot, const Place& place, float (&acc)[kN / 2]) {
  const std::uint32_t top_codes = slot + place.codes, bottom_codes = second_row<Kind>(top_codes);
  const std::uint32_t scales = slot + place.scales;
  const std::uint32_t far = load_shared_4(slot + kFlagsAt);
  const uint2 top = load_shared_8(scales), bottom = load_shared_8(scales + 8 * Kind::kToSecondRow);
  const std::uint64_t x = describe(slot + kXAt);
  constexpr unsigned kNextBlock = 8 * kUnitBytes >> 4;
  if constexpr (kN <= 16) {
    const uint4 top_0 = load_shared_16(top_codes), bottom_0 = load_shared_16(bottom_codes);
    const uint4 top_1 = load_shared_16(top_codes ^ 64u),
                bottom_1 = load_shared_16(bottom_codes ^ 64u);
    if (far != 0) return multiply_groups<kN, Kind>(slot, place, acc);
    // The second half is expanded while the first is multiplied.
    float sum[2][kN / 2];
    float2 columns[2][kN / 8];
    load_column_scales<kN>(slot, 0, place.q, 0, columns[0]);
    load_column_scales<kN>(slot, 1, place.q, 0, columns[1]);
    std::uint32_t a[2][4][4];
    expand(top_0, bottom_0, Table(raise_of(top.x, place.q)), Table(raise_of(bottom.x, place.q)),
           a[0]);
    start_product<kN>(sum[0], a[0], x);
    expand(top_1, bottom_1, Table(raise_of(top.y, place.q)), Table(raise_of(bottom.y, place.q)),
           a[1]);
    start_product<kN>(sum[1], a[1], x + kNextBlock);
    hopper::wgmma_wait<1>();
    keep(a[0]);
    hopper::pin(sum[0]);
    add_scaled<kN, kN>(acc, sum[0], first_scale(top.x), first_scale(bottom.x), columns[0], 0);
    hopper::wgmma_wait<0>();
    keep(a[1]);
    hopper::pin(sum[1]);
    add_scaled<kN, kN>(acc, sum[1], first_scale(top.y), first_scale(bottom.y), columns[1], 0);
  } else {
    if (far != 0) return multiply_groups<kN, Kind>(slot, place, acc);
    // 32 columns at a time: the registers do not hold sums of more.
    constexpr int kPart = 32;
#pragma unroll 1
    for (int block = 0; block < 2; ++block) {
      const std::uint32_t top_scales = block == 0 ? top.x : top.y;
      const std::uint32_t bottom_scales = block == 0 ? bottom.x : bottom.y;
      const auto flip = static_cast<std::uint32_t>(64 * block);
      std::uint32_t a[4][4];
      expand(load_shared_16(top_codes ^ flip), load_shared_16(bottom_codes ^ flip),
             Table(raise_of(top_scales, place.q)), Table(raise_of(bottom_scales, place.q)), a);
#pragma unroll
      for (int first = 0; first < kN; first += kPart) {
        float sum[kPart / 2];
        start_product<kPart>(
            sum, a, x + (block == 0 ? 0 : kNextBlock) + static_cast<unsigned>(first * 16 >> 4));
        float2 columns[kPart / 8];
        load_column_scales<kPart>(slot, block, place.q, first, columns);
        hopper::wgmma_wait<0>();
        keep(a);
        hopper::pin(sum);
        add_scaled<kPart, kN>(acc, sum, first_scale(top_scales), first_scale(bottom_scales),
                              columns, first);
      }
    }
  }
}

template <int kN, class Kind>
__device__ void multiply_item(const Product& p, const Kind& kind, const Item& item, Shared& shared,
                              hopper::RingPosition<kRing>& at) {
  const Place place = place_of<Kind>();
  float acc[kN / 2] = {};
  for (int depth = 0; depth < p.in; depth += kStageDepth) {
    hopper::barrier_wait(&shared.full[at.stage], at.parity);
    multiply_stage<kN, Kind>(hopper::shared_address(shared.ring[at.stage]), place, acc);
    __syncwarp();
    if (Thread().lane == 0) hopper::barrier_arrive(&shared.empty[at.stage]);
    at.advance();
  }
  kind.template end<kN>(item, acc, shared.scratch);
}

template <class Kind>
__global__ void __launch_bounds__(kAllThreads, 1)
    fold_experts(const __grid_constant__ Product p, const __grid_constant__ Kind kind,
                 const __grid_constant__ CUtensorMap map) {
  extern __shared__ __align__(1024) std::uint8_t memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kRing; ++i) {
      hopper::barrier_init(&shared.full[i], kFillWarps + 1);  // and the bulk copies
      hopper::barrier_init(&shared.empty[i], kWarps);
    }
    hopper::barrier_init_fence();
  }
  // The product before this one may still be running up to here, and the next may be set up.
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
  count_token_tiles(p, shared.scratch);
  if (threadIdx.x >= kThreads) {
    hopper::registers_decrease<64>();
    fill_ring<Kind>(p, map, shared);
  } else {
    hopper::registers_increase<104>();
    Items items;
    Item item;
    hopper::RingPosition<kRing> at;
    while (items.take(p, shared.scratch, item)) {
      kind.begin(item, shared.scratch);
      switch (columns_for(item.rows)) {
        case 8:
          multiply_item<8>(p, kind, item, shared, at);
          break;
        case 16:
          multiply_item<16>(p, kind, item, shared, at);
          break;
        case 32:
          multiply_item<32>(p, kind, item, shared, at);
          break;
        default:
          multiply_item<64>(p, kind, item, shared, at);
      }
    }
  }
}

template <class Kind>
void launch_fold(const Product& product, const Kind& kind, Stream stream) {
  const CUtensorMap map = tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, product.w.codes,
                                     std::int64_t{product.experts} * product.out, product.in / 2,
                                     product.in / 2, kBoxRows, 128);
  const auto kernel = fold_experts<Kind>;
  V4CAP_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sizeof(Shared))));
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(multiprocessors());
  config.blockDim = dim3(kAllThreads);
  config.dynamicSmemBytes = sizeof(Shared);
  config.stream = stream;
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = 1;
  V4CAP_CUDA(cudaLaunchKernelEx(&config, kernel, product, kind, map));
  V4CAP_LAUNCHED("experts");
}

void launch_gate_up(const GateUpArgs& args, void*, Stream stream) {
  if (args.max_rows > 0) launch_fold(product_of(args), kind_of(args), stream);
}
void launch_down(const DownArgs& args, void*, Stream stream) {
  if (args.max_rows > 0) launch_fold(product_of(args), kind_of(args), stream);
}

constexpr std::string_view kIdea =
    "FP4 codes to FP8 codes in registers, their scales folded in, as wgmma's A operand";
const Register<GateUpArgs> kGateUp{{.name = "sm90a_fold",
                                    .target = Target::sm90a,
                                    .preference = 10,
                                    .idea = kIdea,
                                    .refuses = refuses,
                                    .launch = launch_gate_up}};
const Register<DownArgs> kDown{{.name = "sm90a_fold",
                                .target = Target::sm90a,
                                .preference = 10,
                                .idea = kIdea,
                                .refuses = refuses,
                                .launch = launch_down}};

}  // namespace
}  // namespace v4cap::kernels::experts
