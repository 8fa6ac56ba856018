// What a step needs beside the operators of its layers: the batch as operators see it, made on the
// GPU from a few numbers of each sequence; window entries and compressor rows copied between a
// running sequence's slot, the scratch pages of a prefill and kept points; rows gathered for the
// head. Bound by latency or by memory, none by arithmetic.
#pragma once

#include <cstdint>

#include "kernels/batch.h"
#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/formats/matrices.h"
#include "kernels/formats/pages.h"
#include "kernels/registry.h"

namespace v4cap::exec {

// A block of a running sequence has moved to another page, or is new.
struct PageUpdate {
  std::int32_t slot = 0, block = 0, page = 0;
};

// One sequence of a batch.
struct BatchSequence {
  std::int32_t slot = 0;
  std::int32_t past = 0, tokens = 0;  // new tokens from position `past` on
  std::int32_t first_row = 0;
  std::int32_t blocks = 0;        // of its page table that the batch may touch
  std::int32_t stored_from = 0;   // entries of blocks before this one are not stored again
  std::int32_t first_key = -1;    // place in `keys` of block past / 256; -1: its last sampled token
  std::int32_t scratch_page = 0;  // first of its scratch pages, of the window before `past` and on
};

// Arrays on the device that a batch is made of; each as long as the largest batch.
struct BatchArrays {
  std::int32_t* positions = nullptr;      // [tokens]
  std::int32_t* sequence_of = nullptr;    // [tokens]
  std::int32_t* visible = nullptr;        // [tokens] CSA entries
  std::int32_t* token_ids = nullptr;      // [tokens]
  std::int32_t* first_token = nullptr;    // [sequences + 1]
  std::int32_t* slots = nullptr;          // [sequences]
  std::int32_t* read_pages = nullptr;     // [sequences, table_blocks]
  std::int32_t* write_pages = nullptr;    // [sequences, table_blocks]
  std::int32_t* scratch_pages = nullptr;  // [sequences, scratch_length]; null: none
};

struct PrepareArgs {
  int sequences = 0;
  const BatchSequence* sequence = nullptr;  // [sequences], on the device like all that follows
  int updates = 0;
  const PageUpdate* update = nullptr;
  const std::int64_t* keys = nullptr;  // of blocks, decide what tokens they hold
  std::int32_t* tables = nullptr;      // [slots, table_blocks] pages of every running sequence
  std::int32_t table_blocks = 0;
  std::int32_t dummy_page = 0;  // where entries go that must not be stored
  std::int32_t scratch_length = 0;
  const std::int32_t* last_token = nullptr;  // [slots]
  std::int32_t vocab = 0;
  BatchArrays out = {};
};
// Applies the updates, then fills the arrays.
void prepare_batch(const PrepareArgs& args, kernels::Stream stream);

// The token that stands at `offset` of the block with this key: any function will do that gives
// equal tokens to equal blocks.
V4CAP_HD constexpr std::int32_t token_of(std::int64_t key, std::int32_t offset,
                                         std::int32_t vocab) {
  std::uint64_t x = static_cast<std::uint64_t>(key) * 256 + static_cast<std::uint64_t>(offset);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  x ^= x >> 31;
  return static_cast<std::int32_t>(x % static_cast<std::uint64_t>(vocab));
}

// Window entries of positions [first, first + count) of one sequence, from the pages of row
// `from_row` of one table to those of row `to_row` of another.
struct WindowRange {
  std::int32_t from_row = 0, to_row = 0;
  std::int32_t first = 0, count = 0;
};
// `layers` of them with pools so many bytes apart.
struct WindowCopyArgs {
  int ranges = 0, layers = 1;
  int max_count = 0;
  const WindowRange* range = nullptr;
  kernels::KvPool from = {}, to = {};
  kernels::PageTable from_pages = {}, to_pages = {};
  std::int64_t from_layer_bytes = 0, to_layer_bytes = 0;
};
void copy_windows(const WindowCopyArgs& args, kernels::Stream stream);

// The four rows of a CSA compressor before a position that ends a block of the engine, in the form
// of its state (compressor_csa.h): [4, 2, 2 * head_dim] float.
constexpr std::int64_t kept_row_floats(int head_dim) {
  return std::int64_t{4} * 2 * 2 * head_dim;
}
struct RowSave {
  std::int32_t slot = 0;
  std::int32_t past = 0, first_row = 0;  // of its sequence in the batch
  std::int32_t position = 0;
  std::int32_t place = 0;  // where they are kept, in units of kept_row_floats
};
// While a batch runs, before its compressor changes the state: rows of new tokens come from the
// projections, earlier ones from the state.
struct SaveRowsArgs {
  int saves = 0;
  const RowSave* save = nullptr;
  int head_dim = 0;
  const float* ug = nullptr;  // [tokens, ug_stride]
  std::int64_t ug_stride = 0;
  const float* ape = nullptr;    // [4, 2 * head_dim]
  const float* state = nullptr;  // [slots, 8, 2, 2 * head_dim]
  float* kept = nullptr;
};
void save_rows(const SaveRowsArgs& args, kernels::Stream stream);

// Between steps, at a position that is a multiple of 8: state to kept rows, or back.
struct RowMove {
  std::int32_t slot = 0, place = 0;
};
struct MoveRowsArgs {
  int moves = 0, layers = 1;
  const RowMove* move = nullptr;
  int head_dim = 0;
  bool restore = false;  // kept rows to state
  float* state = nullptr;
  float* kept = nullptr;
  std::int64_t state_layer_floats = 0, kept_layer_floats = 0;
};
void move_rows(const MoveRowsArgs& args, kernels::Stream stream);

// HCA states (online form) of these slots become empty: [layers][slots, 3, 512].
void empty_hca_states(float* state, std::int64_t layer_floats, int layers,
                      const std::int32_t* slots, int count, kernels::Stream stream);

// Rows of `width` bf16, % 8 == 0: to[i] = from[row[i]].
void gather_rows(const kernels::Bf16* from, const std::int32_t* row, int rows, std::int64_t width,
                 kernels::Bf16* to, kernels::Stream stream);
// last_token[slot[i]] = chosen[i] (modulo vocab).
void keep_tokens(const std::int32_t* chosen, const std::int32_t* slot, int rows,
                 std::int32_t* last_token, kernels::Stream stream);

}  // namespace v4cap::exec
