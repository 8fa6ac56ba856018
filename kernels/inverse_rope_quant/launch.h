// How the portable version of inverse_rope_quant is launched, and what it takes.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "kernels/formats/pages.h"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"

namespace v4cap::kernels::inverse_rope_quant {

// Warps of a block. With enough tokens they take as many tokens of one head: the scales of
// neighbouring tokens lie side by side and make a whole 32-byte sector. Else neighbouring heads.
inline constexpr int kWarpsPerBlock = 8;
inline constexpr int kWarpsPerBlockOfFewTokens = 4;

constexpr bool few_tokens(const Args& args) {
  return args.batch.tokens < kWarpsPerBlock;
}

constexpr std::int64_t blocks_of(const Args& args) {
  const std::int64_t tokens = args.batch.tokens;
  if (few_tokens(args)) {
    return (tokens * args.heads + kWarpsPerBlockOfFewTokens - 1) / kWarpsPerBlockOfFewTokens;
  }
  return (tokens + kWarpsPerBlock - 1) / kWarpsPerBlock * args.heads;
}

inline std::string refuses(const Args& args) {
  if (args.heads <= 0) return "no heads";
  if (args.o_stride < std::int64_t{args.heads} * kHeadDim || args.o_stride % 8 != 0) {
    return "rows of o overlap or are not 16-byte aligned";
  }
  if (args.quantised.scale_stride < args.batch.tokens) return "the scales' stride is too small";
  if (blocks_of(args) > std::numeric_limits<std::int32_t>::max() / kWarpsPerBlock) {
    return "more than 2^31 rows";
  }
  return "";
}

}  // namespace v4cap::kernels::inverse_rope_quant
