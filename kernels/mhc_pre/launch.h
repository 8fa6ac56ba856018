// Which shapes the versions of mhc_pre take, and how the portable one cuts its work. Plain C++.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "kernels/mhc_pre/mhc_pre.h"

namespace v4cap::kernels::mhc_pre {

inline std::string refuses_shape(const Args& args) {
  if (args.hidden <= 0 || args.hidden % 256 != 0) return "hidden is not a multiple of 256";
  if (args.mixes != kMixes && args.mixes != kStreams) return "neither 24 nor 4 mixes";
  const bool all = args.mixes == kMixes;
  if ((args.post != nullptr) != all || (args.comb != nullptr) != all) {
    return "post and comb belong to 24 mixes";
  }
  return "";
}

// The clusters' kernel is built for V4-Pro's and V4-Flash's widths, and for steps whose streams
// take longer to read than fn takes to get into the registers of a cluster (H100, 7168: 18.9 us
// against the portable version's 14.2 at 256 tokens, 40 against 58 at 1024).
inline constexpr int kClusterTokens = 512;

inline std::string refuses_cluster(const Args& args) {
  if (args.hidden != 7168 && args.hidden != 4096) return "hidden is neither 7168 nor 4096";
  if (args.tokens < kClusterTokens) return "so few tokens are faster in the portable version";
  return refuses_shape(args);
}

// The portable version: `splits` blocks sum a tile of tokens over their parts of the channels, each
// in steps of 64 (32 channels for each of 8 warps, a stream each); a second kernel adds them up.
struct PortablePlan {
  int tile = 0;  // tokens
  int tiles = 0;
  int splits = 0;
  int steps = 0;      // of a split; the last one may have fewer
  int sum_warps = 0;  // of a block of the second kernel
};

inline constexpr int kPortableStep = 64;
inline constexpr int kPortableColumns = kMixes + 1;  // of a partial result: the mixes, the square
inline constexpr int kPortableMostWarps = 28;

constexpr PortablePlan portable_plan(int tokens, int hidden) {
  constexpr int kBlocksWanted = 264;  // two on each multiprocessor of an H100
  PortablePlan plan;
  plan.tile = tokens > 1024 ? 64 : 16;
  plan.tiles = (tokens + plan.tile - 1) / plan.tile;
  const int all_steps = hidden / kPortableStep;
  const int wanted = std::clamp(kBlocksWanted / std::max(plan.tiles, 1), 1, all_steps);
  plan.steps = (all_steps + wanted - 1) / wanted;
  plan.splits = (all_steps + plan.steps - 1) / plan.steps;
  // A warp sums 256 channels at a time. Few tokens: all at once; many: small blocks, more of them.
  plan.sum_warps = std::min(hidden / 256, tokens > 128 ? 7 : kPortableMostWarps);
  return plan;
}

// Whether the first kernel can make the streams itself: its warps read all four for each that they
// make, which pays where launches cost more than L2 traffic.
constexpr bool portable_spreads(int tokens, int hidden) {
  return portable_plan(tokens, hidden).tile == 16;
}

constexpr std::size_t portable_workspace_bytes(int tokens, int hidden) {
  const PortablePlan plan = portable_plan(tokens, hidden);
  return sizeof(float) * static_cast<std::size_t>(plan.splits) * kPortableColumns *
         static_cast<std::size_t>(tokens);
}

}  // namespace v4cap::kernels::mhc_pre
