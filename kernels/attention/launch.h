// How an attention launch is cut up: which entries a token sees as one list, and over how many
// thread blocks a token's list is split in decode. Plain C++, tested without a GPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/attention/attention.h"

namespace v4cap::kernels::attention {

inline constexpr int kHeadGroup = 64;       // heads that one thread block carries
inline constexpr int kListBlock = 64;       // entries that it takes at a time
inline constexpr int kMaxSplits = 64;       // thread blocks that share a token's list
inline constexpr int kProcessors = 132;     // multiprocessors of the GPU; a block occupies one
inline constexpr int kDecodeTokens = 8;     // new tokens of a sequence in decode, at most
inline constexpr int kLeastListBlocks = 2;  // of a split: below, combining costs more than it gains

// What no version takes.
inline std::string shape_refusal(const Args& args) {
  if (args.heads != kHeadGroup && args.heads != 2 * kHeadGroup) return "heads are not 64 or 128";
  if (args.q_stride % 8 != 0) return "query rows are not 16-byte aligned";
  if (args.kind != Kind::window && args.compress_ratio <= 0) return "no compress ratio";
  if (args.kind == Kind::csa && (args.top_k <= 0 || args.selected == nullptr)) {
    return "CSA without selected entries";
  }
  if (args.window.page_bytes % 16 != 0 || args.extra.page_bytes % 16 != 0) {
    return "pages are not 16-byte aligned";
  }
  if (args.window.page_entries <= 0 || args.window_pages.length <= 0) return "no window pages";
  if (args.kind != Kind::window && (args.extra.page_entries <= 0 || args.extra_pages.length <= 0)) {
    return "no pages of compressed entries";
  }
  // A ring that wraps must keep the first new token's window beside the last new token.
  const std::int64_t ring = std::int64_t{args.window.page_entries} * args.window_pages.length;
  if (ring < args.batch.max_context && ring < args.batch.max_new_tokens + kWindow - 1) {
    return "the window's ring is too small for the new tokens";
  }
  return "";
}

// Whether an entry's page and place in it are found by shifts.
constexpr bool whole_power_pages(const Args& args) {
  const auto power = [](int n) { return n > 0 && (n & (n - 1)) == 0; };
  return power(args.window.page_entries) &&
         (args.kind == Kind::window || power(args.extra.page_entries));
}

// What a token at `position` sees, as a list: first `window` raw entries from `window_first` on,
// then `extra` compressed ones (of CSA the first `extra` places of its selected list: unused places
// come last there).
struct SeenEntries {
  std::int64_t window_first = 0;
  int window = 0, extra = 0;

  V4CAP_HD constexpr int count() const { return window + extra; }
  V4CAP_HD constexpr int list_blocks() const { return (count() + kListBlock - 1) / kListBlock; }
};

V4CAP_HD constexpr SeenEntries seen_entries(Kind kind, int compress_ratio, int top_k,
                                            std::int64_t position) {
  SeenEntries seen;
  seen.window = position + 1 < kWindow ? static_cast<int>(position + 1) : kWindow;
  seen.window_first = position + 1 - seen.window;
  if (kind != Kind::window) {
    const std::int64_t visible = (position + 1) / compress_ratio;
    seen.extra = static_cast<int>(kind == Kind::csa && visible > top_k ? top_k : visible);
  }
  return seen;
}

// Splits of every token's list, so that the launch ends soonest. In units of the time of a list
// block: waves of thread blocks over the GPU's processors, each with its part of the list and a
// start; then the combining kernel, and each part's way to memory and back.
constexpr double kStartCost = 2, kCombineCost = 2, kPartCost = 0.05;

constexpr double split_cost(std::int64_t groups, int list_blocks, int splits) {
  const std::int64_t parts = groups * splits;
  const std::int64_t waves = (parts + kProcessors - 1) / kProcessors;
  const int longest = (list_blocks + splits - 1) / splits;
  const double math = static_cast<double>(waves) * (longest + kStartCost);
  return splits == 1 ? math : math + kCombineCost + kPartCost * static_cast<double>(parts);
}

constexpr int split_count(const Args& args) {
  const SeenEntries most =
      seen_entries(args.kind, args.compress_ratio, args.top_k, args.batch.max_context - 1);
  const std::int64_t groups =
      static_cast<std::int64_t>(args.batch.tokens) * (args.heads / kHeadGroup);
  const int possible = std::min(most.list_blocks() / kLeastListBlocks, kMaxSplits);
  int best = 1;
  for (int splits = 2; splits <= possible; ++splits) {
    if (split_cost(groups, most.list_blocks(), splits) <
        split_cost(groups, most.list_blocks(), best)) {
      best = splits;
    }
  }
  return best;
}

// A split's part of a token's list blocks: [first, end), all splits as even as they can be.
struct ListRange {
  int first = 0, end = 0;
};
V4CAP_HD constexpr ListRange split_range(int list_blocks, int splits, int split) {
  return {static_cast<int>(static_cast<std::int64_t>(list_blocks) * split / splits),
          static_cast<int>(static_cast<std::int64_t>(list_blocks) * (split + 1) / splits)};
}

// What a split leaves behind for each head: the sum of e^(s - m) c over its entries, not divided,
// and m (times log2 e) and the sum of e^(s - m); m = -infinity and zeros where it had no entry.
//   sums   [tokens, heads, splits, 512] float
//   scales [tokens, heads, splits] {m, sum}
struct Partials {
  float* sums = nullptr;
  float* scales = nullptr;
};
constexpr std::size_t partial_rows(const Args& args, int splits) {
  return static_cast<std::size_t>(args.batch.tokens) * static_cast<std::size_t>(args.heads) *
         static_cast<std::size_t>(splits);
}
constexpr std::size_t partials_bytes(const Args& args) {
  const int splits = split_count(args);
  return splits == 1 ? 0 : partial_rows(args, splits) * (kHeadDim + 2) * sizeof(float);
}
inline Partials partials_in(void* workspace, const Args& args) {
  auto* sums = static_cast<float*>(workspace);
  return {sums, sums + partial_rows(args, split_count(args)) * kHeadDim};
}

}  // namespace v4cap::kernels::attention
