// How a prefill launch of attention is cut up. Two thread blocks form a pair that carries 128 query
// rows: all 128 heads of a token, or the 64 heads of two neighbouring tokens of a sequence. Before,
// the entries that the launch can see are dequantised once into bf16 rows of 512 channels.
// Plain C++, tested without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/attention/attention.h"
#include "kernels/attention/launch.h"

namespace v4cap::kernels::attention::prefill {

inline constexpr int kRowsOfHalf = 64;  // query rows of a math warpgroup
inline constexpr int kRowBytes = kHeadDim * 2;
inline constexpr int kPlaneBytes = 128;  // of a row, in the layout of planes
inline constexpr int kPlanes = kRowBytes / kPlaneBytes;
inline constexpr int kRowGroup = 8;   // rows of a period of the 128-byte swizzle
inline constexpr int kMostKeys = 64;  // entries of a tile at most
inline constexpr int kLeastTokens =
    12;  // of a sequence in the mean: with fewer it is a decode step
inline constexpr std::size_t kMostWorkspaceBytes = std::size_t{8} << 30;

// Rows of a sequence's window beyond its new tokens: 127 before, and what alignment adds (7 before,
// 7 behind, and 7 by which the next sequence's rows may start earlier), a multiple of 8.
inline constexpr int kWindowRowsBeyond = 152;

V4CAP_HD constexpr std::int64_t round_up(std::int64_t x, std::int64_t to) {
  return (x + to - 1) / to * to;
}

// ---- rows in the workspace: first those of all windows, then those of compressed entries ----

struct Rows {
  std::int64_t window_rows = 0;      // of all sequences
  std::int64_t compressed_rows = 0;  // of each sequence
  std::int64_t total = 0;            // the last one is all zeros

  // Row of the position window_origin(...) of a sequence; a multiple of 8.
  V4CAP_HD constexpr std::int64_t window_base(int sequence, int first_token) const {
    return round_up(first_token, kRowGroup) +
           static_cast<std::int64_t>(sequence) * kWindowRowsBeyond;
  }
  V4CAP_HD constexpr std::int64_t compressed_base(int sequence) const {
    return window_rows + sequence * compressed_rows;
  }
  V4CAP_HD constexpr std::int64_t zero_row() const { return total - 1; }
};

// The position that a sequence's first window row holds; `first_position` is that of its first new
// token.
V4CAP_HD constexpr std::int64_t window_origin(std::int64_t first_position) {
  const std::int64_t first = first_position < kWindow ? 0 : first_position - (kWindow - 1);
  return first / kRowGroup * kRowGroup;
}

// Behind the entries there are zeros to read up to the end of a tile.
constexpr Rows rows_of(const Args& args) {
  Rows rows;
  rows.window_rows = round_up(args.batch.tokens, kRowGroup) +
                     static_cast<std::int64_t>(args.batch.sequences) * kWindowRowsBeyond;
  const std::int64_t entries =
      args.kind == Kind::window ? 0
                                : visible_entries(args.batch.max_context - 1, args.compress_ratio);
  rows.compressed_rows = round_up(entries, kMostKeys) + kMostKeys;
  rows.total = rows.window_rows + args.batch.sequences * rows.compressed_rows + 1;
  return rows;
}

inline std::size_t workspace_bytes(const Args& args) {
  return static_cast<std::size_t>(rows_of(args).total) * kRowBytes;
}

// ---- items: what a pair of thread blocks does at a time ----

struct Item {
  int sequence = 0;
  int first_token = 0;
  int tokens = 0;  // 0: nothing to do
};

constexpr int tokens_per_item(int heads) {
  return 2 * kRowsOfHalf / heads;
}

constexpr int item_count(const Args& args) {
  return tokens_per_item(args.heads) == 1 ? args.batch.tokens
                                          : (args.batch.tokens + args.batch.sequences) / 2;
}

// Items of two tokens do not cross sequences: sequence s has them from (first_token[s] + s) / 2 on,
// which leaves it (its tokens + 1) / 2 at least.
V4CAP_HD inline Item item_at(const Batch& batch, int tokens_per_item, int index) {
  if (tokens_per_item == 1) return {batch.sequence_of[index], index, 1};
  int low = 0, high = batch.sequences;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if ((batch.first_token[middle] + middle) / 2 <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const int token = batch.first_token[low] + 2 * (index - (batch.first_token[low] + low) / 2);
  const int left = batch.first_token[low + 1] - token;
  return {low, token, left > 2 ? 2 : (left < 0 ? 0 : left)};
}

// ---- lists of keys ----

// Bits [from, to) of a 64-bit word, clipped to it.
V4CAP_HD constexpr std::uint64_t bits_between(int from, int to) {
  if (from < 0) from = 0;
  if (to > 64) to = 64;
  if (from >= to) return 0;
  const std::uint64_t below = to == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << to) - 1;
  return below & ~((std::uint64_t{1} << from) - 1);
}

// What an item's tokens see when nothing is selected (HCA, window): rows of the window from the
// position `window_first` on, whole groups of 8, then compressed entries from 0 on.
struct DenseList {
  int window_first = 0;
  int window = 0;  // rows, % 8 == 0
  int compressed = 0;

  V4CAP_HD constexpr int tiles(int keys) const { return (window + compressed + keys - 1) / keys; }
  // Which of the 64 places from `place` on are seen by the token at `position`.
  V4CAP_HD constexpr std::uint64_t seen(int position, int entries, int place) const {
    const int first = position < kWindow ? 0 : position - (kWindow - 1);
    return bits_between(first - window_first - place, position + 1 - window_first - place) |
           bits_between(window - place, window + entries - place);
  }
};

V4CAP_HD constexpr DenseList dense_list(int first_position, int last_position, int compressed) {
  DenseList list;
  list.window_first = static_cast<int>(window_origin(first_position));
  list.window = static_cast<int>(round_up(last_position + 1 - list.window_first, kRowGroup));
  list.compressed = compressed;
  return list;
}

// What a token sees of its selected entries (CSA): its window, then the first places of its list,
// as many as there are entries (fewer may be filled: -1 from there on).
struct SparseList {
  int window_first = 0;
  int window = 0;
  int selected = 0;

  V4CAP_HD constexpr int tiles(int keys) const { return (window + selected + keys - 1) / keys; }
};

V4CAP_HD constexpr SparseList sparse_list(int position, int compress_ratio, int top_k) {
  SparseList list;
  list.window = position < kWindow ? position + 1 : kWindow;
  list.window_first = position + 1 - list.window;
  const int visible = (position + 1) / compress_ratio;
  list.selected = visible < top_k ? visible : top_k;
  return list;
}

// ---- what is not taken ----

inline std::string refuses(const Args& args) {
  const std::string refusal = shape_refusal(args);
  if (!refusal.empty()) return refusal;
  if (!(args.scale > 0)) return "scale is not positive";
  if (args.batch.tokens < static_cast<std::int64_t>(kLeastTokens) * args.batch.sequences) {
    return "fewer than 12 tokens of a sequence: a decode step";
  }
  if (workspace_bytes(args) > kMostWorkspaceBytes) return "dequantised entries beyond 8 GiB";
  return "";
}

inline std::string refuses_dense(const Args& args) {
  return args.kind == Kind::csa ? "entries are selected" : refuses(args);
}
inline std::string refuses_sparse(const Args& args) {
  return args.kind != Kind::csa ? "entries are not selected" : refuses(args);
}

}  // namespace v4cap::kernels::attention::prefill
