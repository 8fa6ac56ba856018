// Prefill of HCA and window-only layers: every entry before a token is seen, so that the list of an
// item is contiguous: its window, then the compressed entries. They are dequantised once into
// planes in the swizzled order of the tiles, and a tile arrives as 4 to 8 bulk copies issued by one
// thread.
// Shape   : see prefill_tile.cuh; 128 rows are all heads of a token or 64 heads of two tokens.
// Traffic : 1.6 KB an entry to dequantise; 32 KiB a tile and block from L2.
// Bound   : the tensor cores, as far as shared memory keeps up with them (prefill_tile.cuh).
#include "kernels/attention/prefill_dequantise.cuh"
#include "kernels/attention/prefill_tile.cuh"
#include "kernels/registry.h"

namespace v4cap::kernels::attention {
namespace {

using namespace prefill;

struct Dense {
  static constexpr int kKeys = 64;
  static constexpr int kRings = 1;
  static constexpr int kStages = 4;
  static constexpr int kQueryWarps = 3;
  static constexpr int kFullArrivals = 1;
  static constexpr bool kFencedTiles = false;
  static constexpr int kMathRegisters = 232, kFetchRegisters = 40;
  using Memory = Shared<kKeys, kRings, kStages>;

  const std::uint8_t* planes = nullptr;
  Rows rows = {};
  int items = 0;
  float scale = 0;

  __device__ static int position(const Args& args, const Item& item, int ahead) {
    return args.batch.positions[item.first_token + (ahead < item.tokens ? ahead : 0)];
  }
  __device__ static int entries(const Args& args, int position) {
    return args.kind == Kind::window
               ? 0
               : static_cast<int>(visible_entries(position, args.compress_ratio));
  }
  __device__ static DenseList list(const Args& args, const Item& item) {
    const int last = position(args, item, item.tokens - 1);
    return dense_list(position(args, item, 0), last, entries(args, last));
  }
  __device__ int tiles(const Args& args, const Item& item, int) const {
    return list(args, item).tiles(kKeys);
  }

  __device__ void fetch(const Args& args, Memory& shared, int cta, int pair, int pairs,
                        int warp) const {
    const int per_item = tokens_per_item(args.heads);
    if (warp > 0) {
      std::uint32_t empty_parity = 1;
      for (int index = pair; index < items; index += pairs) {
        const Item item = item_at(args.batch, per_item, index);
        if (item.tokens == 0) continue;
        fetch_queries(args, shared, item, cta, warp - 1, kQueryWarps, empty_parity);
        empty_parity ^= 1;
      }
    } else if (threadIdx.x % 32 == 0) {
      std::uint32_t tile = 0;
      for (int index = pair; index < items; index += pairs) {
        const Item item = item_at(args.batch, per_item, index);
        if (item.tokens != 0) fetch_tiles(args, shared, item, cta, tile);
      }
    }
  }

  __device__ void fetch_tiles(const Args& args, Memory& shared, const Item& item, int cta,
                              std::uint32_t& tile) const {
    const DenseList all = list(args, item);
    const int sequence_token = args.batch.first_token[item.sequence];
    const int window_row = static_cast<int>(rows.window_base(item.sequence, sequence_token)) +
                           all.window_first -
                           static_cast<int>(window_origin(args.batch.positions[sequence_token]));
    const int entry_row = static_cast<int>(rows.compressed_base(item.sequence)) - all.window;
    for (int place = 0; place < all.window + all.compressed; place += kKeys, ++tile) {
      const int stage = Ring<kStages>::stage(tile);
      std::uint64_t* const full = &shared.tile_full[0][stage];
      wait(&shared.tile_empty[0][stage], Ring<kStages>::parity(tile) ^ 1);
      const int left = all.window - place;
      const int of_window = left < 0 ? 0 : (left < kKeys ? left : kKeys);
      std::uint8_t* to = shared.tiles[0][stage];
      const std::uint8_t* from = planes + cta * kHalfPlanes * rows.total * kPlaneBytes;
#pragma unroll 1
      for (int plane = 0; plane < kHalfPlanes; ++plane) {
        if (of_window > 0) {
          hopper::bulk_copy(to, from + std::int64_t{window_row + place} * kPlaneBytes,
                            static_cast<unsigned>(of_window * kPlaneBytes), full);
        }
        if (of_window < kKeys) {
          hopper::bulk_copy(to + of_window * kPlaneBytes,
                            from + std::int64_t{entry_row + place + of_window} * kPlaneBytes,
                            static_cast<unsigned>((kKeys - of_window) * kPlaneBytes), full);
        }
        to += Memory::kTilePlaneBytes;
        from += rows.total * kPlaneBytes;
      }
      // While the entries travel. Positions are read anew, for want of registers.
      for (int group = 0; group < kMathGroups; ++group) {
        const int own = position(args, item, group);
        shared.seen[group][0][stage] = all.seen(own, entries(args, own), place);
      }
      hopper::barrier_expect(full, Memory::kTileBytes);
    }
  }
};

void launch(const Args& args, void* workspace, Stream stream) {
  if (args.batch.tokens == 0) return;
  const Rows rows = rows_of(args);
  launch_dequantise<true>(args, rows, static_cast<Bf16*>(workspace), stream);
  Dense source;
  source.planes = static_cast<const std::uint8_t*>(workspace);
  source.rows = rows;
  source.items = item_count(args);
  source.scale = args.scale * kLog2e;
  launch_attend(args, source, stream);
}

const Register<Args> kVersion{
    {.name = "sm90a_prefill_hca",
     .target = Target::sm90a,
     .preference = 30,
     .idea = "blocks in pairs split the channels and exchange scores, bulk copies of bf16 tiles",
     .refuses = refuses_dense,
     .workspace_bytes = workspace_bytes,
     .launch = launch}};

}  // namespace
}  // namespace v4cap::kernels::attention
