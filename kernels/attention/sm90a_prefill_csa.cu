// Prefill of CSA layers: each token has a list of its own, its window and up to 1024 selected
// entries. They are dequantised once into bf16 rows, and the warps that fetch gather half a row of
// each entry (512 bytes) at a time by 16-byte asynchronous copies into swizzled tiles.
// Shape   : see prefill_tile.cuh. 128 heads: one token an item, tiles of 64 entries for both math
//           warpgroups. 64 heads: two tokens an item, tiles of 32 entries for each warpgroup alone.
// Traffic : 1.6 KB an entry of the context to dequantise; 1 KB an entry seen by a token from L2, or
//           from device memory where the context is larger than L2 (134 MB at 512 K).
// Bound   : the tensor cores, as far as shared memory keeps up with them (prefill_tile.cuh).
#include "kernels/attention/prefill_dequantise.cuh"
#include "kernels/attention/prefill_tile.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::attention {
namespace {

using namespace prefill;

template <int kKeysOfTile, int kRingsOfPair>
struct Sparse {
  static constexpr int kKeys = kKeysOfTile;
  static constexpr int kRings = kRingsOfPair;
  static constexpr int kStages = 4;
  static constexpr int kQueryWarps = kGroupWarps;
  static constexpr int kMathRegisters = 232, kFetchRegisters = 40;
  static constexpr int kWarpsOfRing = kGroupWarps / kRings;
  static constexpr int kFullArrivals = kWarpsOfRing * (32 + 1);  // every lane's copies, `seen`
  static constexpr bool kFencedTiles = true;
  static constexpr int kRowsOfWarp = kKeys / kWarpsOfRing;
  static_assert(kRowsOfWarp == 16);
  using Memory = Shared<kKeys, kRings, kStages>;

  const std::uint8_t* entries = nullptr;  // [rows.total, 1024]
  Rows rows = {};
  int items = 0;
  float scale = 0;

  __device__ int tiles(const Args& args, const Item&, int token) const {
    return sparse_list(args.batch.positions[token], args.compress_ratio, args.top_k).tiles(kKeys);
  }

  struct Place {
    std::int32_t row = 0;  // in `entries`
    bool seen = false;
  };
  // The first 16 lanes of a warp have a place of its token's list each.
  __device__ Place look_up(const SparseList& list, std::int32_t window_row, std::int32_t entry_row,
                           const std::int32_t* selected, int at) const {
    Place place = {static_cast<std::int32_t>(rows.zero_row()), at < list.window + list.selected};
    if (at < list.window) {
      place.row = window_row + at;
    } else if (place.seen) {
      const std::int32_t entry = selected[at - list.window];
      place.seen = entry >= 0;
      if (place.seen) place.row = entry_row + entry;
    }
    return place;
  }

  // A warp fetches 16 rows of each tile of its ring.
  __device__ void fetch(const Args& args, Memory& shared, int cta, int pair, int pairs,
                        int warp) const {
    const int ring = warp / kWarpsOfRing;
    const int part = warp % kWarpsOfRing;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const std::uint8_t* const from = entries + cta * (kRowBytes / 2) + lane * 16;
    std::uint32_t empty_parity = 1;
    std::uint32_t tile = 0;
    for (int index = pair; index < items; index += pairs) {
      const Item item = item_at(args.batch, tokens_per_item(args.heads), index);
      if (item.tokens == 0) continue;
      fetch_queries(args, shared, item, cta, warp, kGroupWarps, empty_parity);
      empty_parity ^= 1;
      const int token = item.first_token + (ring < item.tokens ? ring : 0);
      const SparseList list =
          sparse_list(args.batch.positions[token], args.compress_ratio, args.top_k);
      const int first_token = args.batch.first_token[item.sequence];
      const auto window_row = static_cast<std::int32_t>(
          rows.window_base(item.sequence, first_token) + list.window_first -
          window_origin(args.batch.positions[first_token]));
      const auto entry_row = static_cast<std::int32_t>(rows.compressed_base(item.sequence));
      const std::int32_t* selected = args.selected + static_cast<std::int64_t>(token) * args.top_k;
      const int count = list.window + list.selected;
      int at = part * kRowsOfWarp + lane % kRowsOfWarp;
      Place place = look_up(list, window_row, entry_row, selected, at);
      for (int begin = 0; begin < count; begin += kKeys, ++tile) {
        const int stage = Ring<kStages>::stage(tile);
        const unsigned seen = __ballot_sync(~0u, place.seen);
        wait(&shared.tile_empty[ring][stage], Ring<kStages>::parity(tile) ^ 1);
        const std::uint32_t to = hopper::shared_address(shared.tiles[ring][stage]);
#pragma unroll 4
        for (int i = 0; i < kRowsOfWarp; ++i) {
          const std::int64_t row = __shfl_sync(~0u, place.row, i);
          const int offset = piece_offset(part * kRowsOfWarp + i, lane, Memory::kTilePlaneBytes);
          hopper::cp_async_16(to + static_cast<unsigned>(offset), from + row * kRowBytes);
        }
        hopper::cp_async_arrive(&shared.tile_full[ring][stage]);
        if (lane == 0) {
          for (int group = 0; group < kMathGroups; ++group) {
            reinterpret_cast<std::uint16_t*>(&shared.seen[group][ring][stage])[part] =
                static_cast<std::uint16_t>(seen);
          }
          hopper::barrier_arrive(&shared.tile_full[ring][stage]);
        }
        at += kKeys;
        place = look_up(list, window_row, entry_row, selected, at);
      }
    }
  }
};

__global__ void clear_row(uint4* row) {
  row[threadIdx.x] = make_uint4(0, 0, 0, 0);
}

template <int kKeys, int kRings>
void launch_sparse(const Args& args, const Rows& rows, const void* workspace, Stream stream) {
  Sparse<kKeys, kRings> source;
  source.entries = static_cast<const std::uint8_t*>(workspace);
  source.rows = rows;
  source.items = item_count(args);
  source.scale = args.scale * kLog2e;
  launch_attend(args, source, stream);
}

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.batch.tokens == 0) return;
  const Rows rows = rows_of(args);
  launch_dequantise<false>(args, rows, static_cast<Bf16*>(workspace), stream);
  clear_row<<<1, kRowBytes / 16, 0, stream>>>(static_cast<uint4*>(workspace) +
                                              rows.zero_row() * (kRowBytes / 16));
  V4CAP_LAUNCHED("clear row");
  if (args.heads == 2 * kRowsOfHalf) {
    launch_sparse<64, 1>(args, rows, workspace, stream);
  } else {
    launch_sparse<32, 2>(args, rows, workspace, stream);
  }
}

const Register<Args> kVersion{
    {.name = "sm90a_prefill_csa",
     .target = Target::sm90a,
     .preference = 30,
     .idea = "blocks in pairs split the channels and exchange scores, entries gathered by cp.async",
     .refuses = refuses_sparse,
     .workspace_bytes = workspace_bytes,
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::attention
