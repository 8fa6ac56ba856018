// How the scores of a step are cut into pieces of work: `tokens_per_group` neighbouring tokens,
// which share the keys they read, times `pages_per_chunk` pages of their sequences. Pieces are
// numbered with the group running fastest, so that blocks that work side by side read the same
// pages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/formats/host_device.h"
#include "kernels/indexer_scores/indexer_scores.h"

namespace v4cap::kernels::indexer_scores {

struct Plan {
  int tokens_per_group = 1;
  int groups = 0;
  int pages_per_chunk = 1;
  int chunks = 0;
  std::int64_t pieces() const { return std::int64_t{groups} * chunks; }
};

// Pages of the longest sequence.
constexpr int most_pages(const Args& args) {
  return static_cast<int>(
      (visible_entries(args.batch.max_context - 1, args.compress_ratio) + kKeysPerPage - 1) /
      kKeysPerPage);
}

// The chunk for which the busiest of `blocks` blocks, each taking every blocks-th piece, has the
// least to do; a piece costs its pages and `overhead_pages` (reading its queries).
inline Plan plan(int tokens, int pages, int tokens_per_group, int blocks, int overhead_pages) {
  Plan best;
  best.tokens_per_group = tokens_per_group;
  best.groups = (tokens + tokens_per_group - 1) / tokens_per_group;
  if (pages == 0 || tokens == 0) return best;
  std::int64_t least = 0;
  // Finer than some pieces a block only costs.
  const int most_chunks = std::min(pages, std::max(16, 2 * blocks / best.groups));
  for (int chunks = 1; chunks <= most_chunks; ++chunks) {
    const int chunk = (pages + chunks - 1) / chunks;
    const std::int64_t rounds = (std::int64_t{best.groups} * chunks + blocks - 1) / blocks;
    const std::int64_t cost = rounds * (chunk + overhead_pages);
    if (least == 0 || cost < least) {
      least = cost;
      best.pages_per_chunk = chunk;
      best.chunks = (pages + chunk - 1) / chunk;
    }
  }
  return best;
}

// In decode lengths differ from sequence to sequence, and only the GPU knows them: pieces of one
// size would leave the blocks of short ones waiting for those of the longest. There the pages of all
// groups, one group behind the other, are cut into equal shares, a block each, which may begin and
// end inside of a group.
inline constexpr int kMostShareGroups = 1024;
inline constexpr int kLeastShare = 8;  // pages: below, reading queries costs more than it gains

V4CAP_HD constexpr int pages_per_share(int all_pages, int blocks) {
  const int even = (all_pages + blocks - 1) / blocks;
  return even > kLeastShare ? even : kLeastShare;
}

// Blocks that can have a share, when no sequence is longer than `pages`.
constexpr int share_blocks(int groups, int pages, int blocks) {
  const std::int64_t most = (std::int64_t{groups} * pages + kLeastShare - 1) / kLeastShare;
  return static_cast<int>(most < blocks ? most : blocks);
}

// How the warpgroups of a Hopper block divide their work. In prefill they share pages: each has
// four tokens of its own, and all read every page. With few new tokens a sequence they share these
// tokens, and take turns in pages.
enum class Sharing : std::uint8_t { tokens_1, tokens_2, tokens_4, pages };

constexpr Sharing sharing(int max_new_tokens) {
  if (max_new_tokens <= 1) return Sharing::tokens_1;
  if (max_new_tokens == 2) return Sharing::tokens_2;
  return max_new_tokens <= 4 ? Sharing::tokens_4 : Sharing::pages;
}

// Tokens that share a page in decode; 0 in prefill.
constexpr int group_tokens(Sharing sharing) {
  switch (sharing) {
    case Sharing::tokens_1:
      return 1;
    case Sharing::tokens_2:
      return 2;
    case Sharing::tokens_4:
      return 4;
    case Sharing::pages:
      return 0;
  }
  return 0;
}

// What every version asks of its operands.
inline std::string refuses_operands(const Args& args) {
  const auto aligned = [](const void* p, std::uintptr_t to) {
    return reinterpret_cast<std::uintptr_t>(p) % to == 0;
  };
  if (args.compress_ratio < 1) return "compress_ratio is not positive";
  if (args.pages.length <= 0) return "no pages of keys";
  if (args.keys.format == KeyFormat::fp4 && args.q_scales == nullptr) return "no scales of queries";
  if (!aligned(args.q_codes, 16) || !aligned(args.keys.base, 16)) {
    return "codes are not 16-byte aligned";
  }
  if (!aligned(args.weights, 8)) return "weights are not 8-byte aligned";
  if (args.score_stride < visible_entries(args.batch.max_context - 1, args.compress_ratio)) {
    return "a row of scores is shorter than the longest sequence";
  }
  return "";
}

}  // namespace v4cap::kernels::indexer_scores
