// How the portable version of q_rope_kv_store is launched, and what it takes.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "kernels/q_rope_kv_store/q_rope_kv_store.h"

namespace v4cap::kernels::q_rope_kv_store {

inline constexpr int kWarpsPerBlock = 4;
inline constexpr int kHeadsPerWarp = 2;

// Warps of a token: one for its KV entry, one for every two heads.
constexpr int warps_per_token(int heads) {
  return 1 + (heads + kHeadsPerWarp - 1) / kHeadsPerWarp;
}
constexpr std::int64_t warps_of(const Args& args) {
  return static_cast<std::int64_t>(args.batch.tokens) * warps_per_token(args.heads);
}
constexpr std::int64_t blocks_of(const Args& args) {
  return (warps_of(args) + kWarpsPerBlock - 1) / kWarpsPerBlock;
}

// Entries of a sequence's ring of window pages. Of two tokens of a step that lie a whole ring apart
// only the later one is stored.
constexpr std::int64_t ring_entries(const Args& args) {
  return static_cast<std::int64_t>(args.window.page_entries) * args.window_pages.length;
}

inline std::string refuses(const Args& args) {
  if (args.heads < 0) return "heads is negative";
  if (args.q_stride % 8 != 0 || args.kv_stride % 8 != 0) return "rows are not 16-byte aligned";
  if (args.q_stride < static_cast<std::int64_t>(args.heads) * kHeadDim) {
    return "rows of q are shorter than the heads";
  }
  if (args.kv_stride < kHeadDim) return "rows of kv are shorter than 512";
  if (ring_entries(args) <= 0) return "the window has no pages";
  if (args.window.page_bytes % 16 != 0) return "window pages are not 16-byte aligned";
  if (warps_of(args) > std::numeric_limits<std::int32_t>::max() - kWarpsPerBlock) {
    return "more than 2^31 warps";
  }
  return "";
}

}  // namespace v4cap::kernels::q_rope_kv_store
