// How the pairs of a step are cut into chunks: a warp walks its chunk in order, so that the rank of
// a pair among those of its expert depends on nothing but the pairs before it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/expert_permute/expert_permute.h"

namespace v4cap::kernels::expert_permute {

inline constexpr int kWarp = 32;
inline constexpr int kWarpsPerBlock = 32;
inline constexpr int kChunkOfMany = 256;              // pairs of a chunk when there are many blocks
inline constexpr std::int64_t kMaxOneBlock = 8192;    // pairs that one block sorts by itself
inline constexpr int kMaxCountsOneBlock = 24 * 1024;  // counters in shared memory

struct Plan {
  int pairs = 0;
  int chunk = 0;  // pairs of a warp, a multiple of 32
  int chunks = 0;
  bool one_block = false;
  int counts = 0;  // [local experts, chunks]
};

constexpr Plan plan_of(const Args& args) {
  Plan p;
  p.pairs = args.tokens * args.active;
  const int per_warp = (p.pairs + kWarpsPerBlock - 1) / kWarpsPerBlock;
  p.chunk = std::max(1, (per_warp + kWarp - 1) / kWarp) * kWarp;
  p.chunks = (p.pairs + p.chunk - 1) / p.chunk;
  p.counts = args.local_experts * p.chunks;
  p.one_block = p.pairs <= kMaxOneBlock && p.counts <= kMaxCountsOneBlock;
  if (!p.one_block) {
    p.chunk = kChunkOfMany;
    p.chunks = (p.pairs + p.chunk - 1) / p.chunk;
    p.counts = args.local_experts * p.chunks;
  }
  return p;
}

// The counters of all chunks; in shared memory when one block does it all.
constexpr std::size_t workspace_bytes(const Args& args) {
  const Plan p = plan_of(args);
  return p.one_block ? 0 : static_cast<std::size_t>(p.counts) * sizeof(std::int32_t);
}

inline std::string refuses(const Args& args) {
  if (args.local_experts < 1 || args.local_experts > 1024) return "not 1..1024 local experts";
  if (args.active < 1) return "no active experts";
  // Pairs and counters are numbered in 32 bits.
  if (std::int64_t{args.tokens} * args.active > 1 << 24) return "more than 2^24 pairs";
  return "";
}

}  // namespace v4cap::kernels::expert_permute
