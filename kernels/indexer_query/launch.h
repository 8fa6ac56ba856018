// How the portable version of indexer_query is launched, and what it takes.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "kernels/indexer_query/indexer_query.h"

namespace v4cap::kernels::indexer_query {

inline constexpr int kWarpsPerBlock = 4;
inline constexpr int kHeadsPerWarp = 8;
inline constexpr int kWarpsPerToken = kIndexHeads / kHeadsPerWarp;
static_assert(kWarpsPerToken % kWarpsPerBlock == 0);

constexpr std::int64_t blocks_of(const Args& args) {
  return static_cast<std::int64_t>(args.batch.tokens) * (kWarpsPerToken / kWarpsPerBlock);
}

inline std::string refuses(const Args& args) {
  if (args.w_stride < kIndexHeads) return "rows of w are shorter than 64";
  if (blocks_of(args) > std::numeric_limits<std::int32_t>::max() / kWarpsPerBlock) {
    return "more than 2^31 rows";
  }
  return "";
}

}  // namespace v4cap::kernels::indexer_query
