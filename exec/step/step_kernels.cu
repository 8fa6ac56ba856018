// Idea    : everything that a batch is made of follows from eight integers a sequence, so that is
//           what is uploaded; tables of running sequences stay on the GPU and are changed where
//           the engine changed them.
// Traffic : a page table of 4,096 blocks is 16 KB; window copies move 584 B an entry.
#include <cuda_runtime.h>

#include <limits>

#include "exec/step/step_kernels.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec {
namespace {

using kernels::kEntryDataBytes;
using kernels::kTokensPerPage;
using kernels::kWindow;

constexpr int kThreads = 256;

unsigned blocks_for(std::int64_t items, int per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

__global__ void update_tables(PrepareArgs args) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= args.updates) return;
  const PageUpdate u = args.update[i];
  args.tables[std::int64_t{u.slot} * args.table_blocks + u.block] = u.page;
}

__global__ void fill_batch(PrepareArgs args) {
  const int s = static_cast<int>(blockIdx.y);
  const BatchSequence q = args.sequence[s];
  const BatchArrays& out = args.out;
  const int first = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const int step = static_cast<int>(gridDim.x) * kThreads;
  for (int i = first; i < q.tokens; i += step) {
    const int row = q.first_row + i, position = q.past + i;
    out.positions[row] = position;
    out.sequence_of[row] = s;
    out.visible[row] = static_cast<std::int32_t>(kernels::visible_entries(position, 4));
    out.token_ids[row] =
        q.first_key < 0
            ? args.last_token[q.slot]
            : token_of(args.keys[q.first_key + position / kTokensPerPage - q.past / kTokensPerPage],
                       position % kTokensPerPage, args.vocab);
  }
  const std::int64_t table = std::int64_t{s} * args.table_blocks;
  for (int i = first; i < q.blocks; i += step) {
    const std::int32_t page = args.tables[std::int64_t{q.slot} * args.table_blocks + i];
    out.read_pages[table + i] = page;
    out.write_pages[table + i] = i < q.stored_from ? args.dummy_page : page;
  }
  if (out.scratch_pages != nullptr) {
    const int from = max(q.past - (kWindow - 1), 0) / kTokensPerPage;
    const int to = (q.past + q.tokens - 1) / kTokensPerPage;
    for (int i = first; i <= to - from; i += step) {
      out.scratch_pages[std::int64_t{s} * args.scratch_length + (from + i) % args.scratch_length] =
          q.scratch_page + i;
    }
  }
  if (first == 0) {
    out.slots[s] = q.slot;
    out.first_token[s] = q.first_row;
    if (s + 1 == args.sequences) out.first_token[s + 1] = q.first_row + q.tokens;
  }
}

constexpr int kEntriesPerBlock = 8;  // a warp each

__global__ void copy_window_entries(WindowCopyArgs args) {
  const WindowRange range = args.range[blockIdx.y];
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int i =
      static_cast<int>(blockIdx.x) * kEntriesPerBlock + static_cast<int>(threadIdx.x / 32);
  if (i >= range.count) return;
  kernels::KvPool from = args.from, to = args.to;
  from.base += blockIdx.z * args.from_layer_bytes;
  to.base += blockIdx.z * args.to_layer_bytes;
  const int position = range.first + i;
  const std::int64_t from_page = args.from_pages.page(range.from_row, position, from.page_entries);
  const std::int64_t to_page = args.to_pages.page(range.to_row, position, to.page_entries);
  const int from_place = position % from.page_entries, to_place = position % to.page_entries;
  const auto* source = reinterpret_cast<const uint4*>(from.data(from_page, from_place));
  auto* target = reinterpret_cast<uint4*>(to.data(to_page, to_place));
  constexpr int kParts = kEntryDataBytes / 16;
  for (int part = lane; part < kParts; part += 32) target[part] = source[part];
  if (lane == 0) {
    *reinterpret_cast<uint2*>(to.scales(to_page, to_place)) =
        *reinterpret_cast<const uint2*>(from.scales(from_page, from_place));
  }
}

__global__ void save_row_parts(SaveRowsArgs args) {
  const RowSave save = args.save[blockIdx.x];
  const int width = 2 * args.head_dim, row = static_cast<int>(blockIdx.y);
  const int position = save.position - 4 + row;
  float* to =
      args.kept + save.place * kept_row_floats(args.head_dim) + std::int64_t{row} * 2 * width;
  const float* ring =
      args.state +
      ((std::int64_t{save.slot} * kernels::compressor_csa::kRing) + position % 8) * 2 * width;
  const float* ug = args.ug + std::int64_t{save.first_row + position - save.past} * args.ug_stride;
  for (int c = static_cast<int>(threadIdx.x); c < width; c += kThreads) {
    const bool fresh = position >= save.past;
    to[c] = fresh ? ug[c] : ring[c];
    to[width + c] = fresh ? ug[width + c] + args.ape[position % 4 * width + c] : ring[width + c];
  }
}

__global__ void move_row_parts(MoveRowsArgs args) {
  const RowMove move = args.move[blockIdx.x];
  const std::int64_t rows = kept_row_floats(args.head_dim);
  // The last four places of the ring: the position is a multiple of 8.
  float* ring = args.state + blockIdx.y * args.state_layer_floats + move.slot * 2 * rows + rows;
  float* kept = args.kept + blockIdx.y * args.kept_layer_floats + move.place * rows;
  for (std::int64_t i = threadIdx.x; i < rows; i += kThreads) {
    if (args.restore) {
      ring[i] = kept[i];
    } else {
      kept[i] = ring[i];
    }
  }
}

__global__ void empty_states(float* state, std::int64_t layer_floats, const std::int32_t* slots) {
  constexpr int kWidth = kernels::kHeadDim;
  float* to = state + blockIdx.y * layer_floats + std::int64_t{slots[blockIdx.x]} * 3 * kWidth;
  for (int i = static_cast<int>(threadIdx.x); i < 3 * kWidth; i += kThreads) {
    to[i] = i < kWidth ? -INFINITY : 0.0f;
  }
}

__global__ void gather(const uint4* from, const std::int32_t* row, std::int64_t parts, uint4* to) {
  const uint4* source = from + row[blockIdx.y] * parts;
  uint4* target = to + blockIdx.y * parts;
  for (std::int64_t i = blockIdx.x * kThreads + threadIdx.x; i < parts;
       i += std::int64_t{gridDim.x} * kThreads) {
    target[i] = source[i];
  }
}

__global__ void scatter_tokens(const std::int32_t* chosen, const std::int32_t* slot, int rows,
                               std::int32_t* last_token) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < rows) last_token[slot[i]] = chosen[i];
}

}  // namespace

void prepare_batch(const PrepareArgs& args, kernels::Stream stream) {
  if (args.updates > 0) {
    update_tables<<<blocks_for(args.updates, kThreads), kThreads, 0, stream>>>(args);
    V4CAP_LAUNCHED("update_tables");
  }
  const dim3 grid(4, static_cast<unsigned>(args.sequences));
  fill_batch<<<grid, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("fill_batch");
}

void copy_windows(const WindowCopyArgs& args, kernels::Stream stream) {
  if (args.ranges == 0 || args.max_count == 0) return;
  const dim3 grid(blocks_for(args.max_count, kEntriesPerBlock), static_cast<unsigned>(args.ranges),
                  static_cast<unsigned>(args.layers));
  copy_window_entries<<<grid, 32 * kEntriesPerBlock, 0, stream>>>(args);
  V4CAP_LAUNCHED("copy_windows");
}

void save_rows(const SaveRowsArgs& args, kernels::Stream stream) {
  if (args.saves == 0) return;
  const dim3 grid(static_cast<unsigned>(args.saves), 4);
  save_row_parts<<<grid, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("save_rows");
}

void move_rows(const MoveRowsArgs& args, kernels::Stream stream) {
  if (args.moves == 0 || args.layers == 0) return;
  const dim3 grid(static_cast<unsigned>(args.moves), static_cast<unsigned>(args.layers));
  move_row_parts<<<grid, kThreads, 0, stream>>>(args);
  V4CAP_LAUNCHED("move_rows");
}

void empty_hca_states(float* state, std::int64_t layer_floats, int layers,
                      const std::int32_t* slots, int count, kernels::Stream stream) {
  if (count == 0 || layers == 0) return;
  const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(layers));
  empty_states<<<grid, kThreads, 0, stream>>>(state, layer_floats, slots);
  V4CAP_LAUNCHED("empty_hca_states");
}

void gather_rows(const kernels::Bf16* from, const std::int32_t* row, int rows, std::int64_t width,
                 kernels::Bf16* to, kernels::Stream stream) {
  if (rows == 0) return;
  const std::int64_t parts = width / 8;
  const dim3 grid(blocks_for(parts, kThreads), static_cast<unsigned>(rows));
  gather<<<grid, kThreads, 0, stream>>>(reinterpret_cast<const uint4*>(from), row, parts,
                                        reinterpret_cast<uint4*>(to));
  V4CAP_LAUNCHED("gather_rows");
}

void keep_tokens(const std::int32_t* chosen, const std::int32_t* slot, int rows,
                 std::int32_t* last_token, kernels::Stream stream) {
  if (rows == 0) return;
  scatter_tokens<<<blocks_for(rows, kThreads), kThreads, 0, stream>>>(chosen, slot, rows,
                                                                      last_token);
  V4CAP_LAUNCHED("keep_tokens");
}

}  // namespace v4cap::exec
