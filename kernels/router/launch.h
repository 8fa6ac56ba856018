// How the router's product is cut: into tiles of tokens and experts, and along K into parts whose
// sums a second kernel adds in a fixed order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/router/router.h"

namespace v4cap::kernels::router {

inline constexpr int kFewTokens = 64;  // up to here the weights are streamed, beyond tiles are used
inline constexpr int kFewExperts = 16;  // experts of a block
inline constexpr int kFewWarps = 8;     // of a block, each with a part of K
inline constexpr int kChunk = 32;       // channels that a warp loads at a time
inline constexpr int kTile = 128;       // tokens and experts of a tile
inline constexpr int kMaxParts = 16;
inline constexpr int kWantedFew = 120;       // blocks that keep nearly all SMs busy
inline constexpr int kWantedMany = 2 * 132;  // two an SM

struct Plan {
  bool few = false;
  int chunks_of_warp = 0;  // few tokens only: 2 or 4
  int token_tiles = 0, expert_tiles = 0, parts = 0;
};

constexpr int divide_up(int a, int b) {
  return (a + b - 1) / b;
}

constexpr Plan plan_of(const Args& args) {
  Plan p;
  p.few = args.tokens <= kFewTokens;
  p.token_tiles = p.few ? 1 : divide_up(args.tokens, kTile);
  p.expert_tiles = divide_up(args.experts, p.few ? kFewExperts : kTile);
  if (p.few) {
    // All loads of a warp are in flight at once, so more of them cost little; but all SMs should
    // load.
    const auto parts = [&](int chunks) {
      return divide_up(args.hidden, kChunk * kFewWarps * chunks);
    };
    p.chunks_of_warp = p.expert_tiles * parts(4) >= kWantedFew || parts(2) > kMaxParts ? 4 : 2;
    p.parts = parts(p.chunks_of_warp);
  } else {
    const int wanted = kWantedMany / (p.token_tiles * p.expert_tiles);
    // A part has at least 256 channels.
    p.parts = std::max(1, std::min({wanted, kMaxParts, args.hidden / 256}));
  }
  return p;
}

// Logits of every part: [parts, tokens, experts].
constexpr std::size_t workspace_bytes(const Args& args) {
  return static_cast<std::size_t>(plan_of(args).parts) * static_cast<std::size_t>(args.tokens) *
         static_cast<std::size_t>(args.experts) * sizeof(float);
}

inline std::string refuses(const Args& args) {
  if (args.experts < 8 || args.experts > 1024 || args.experts % 8 != 0) {
    return "experts are not a multiple of 8 up to 1024";
  }
  if (args.active < 1 || args.active > 8) return "not 1..8 active experts";
  if (args.hidden % 64 != 0) return "hidden is not a multiple of 64";
  if (args.hidden > kMaxParts * kChunk * kFewWarps * 4) return "hidden is beyond 16384";
  if (args.table == nullptr && args.bias == nullptr) return "neither a bias nor a table";
  if (args.table != nullptr && args.token_ids == nullptr) return "a table without token ids";
  return "";
}

}  // namespace v4cap::kernels::router
