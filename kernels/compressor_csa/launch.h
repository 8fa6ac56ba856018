// How the portable version of compressor_csa is launched, and what it takes.
//
// A sequence's first block of threads ("leader") makes the entries that need rows of before this
// step, then writes the state: a thread reads and writes the same channels only, so its own order
// of accesses keeps old rows from being overwritten too early. All other entries are made from rows
// of this step alone, by blocks that look at 4 token rows each: two such entries are at least 4
// rows apart, so a block finds one at most.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/compressor_csa/compressor_csa.h"

namespace v4cap::kernels::compressor_csa {

// The entry that ends at new token `index` (0-based) of its sequence is made by the leader: it
// needs old rows, or it is the first of the sequence.
constexpr bool made_by_leader(int index) {
  return index < kRing - 1;
}

// Blocks beside the leaders.
constexpr int windows_of(const Args& args) {
  return made_by_leader(args.batch.max_new_tokens - 1) ? 0
                                                       : (args.batch.tokens + kRatio - 1) / kRatio;
}
constexpr int blocks_of(const Args& args) {
  return args.batch.sequences + windows_of(args);
}

inline std::string refuses(const Args& args) {
  if (args.head_dim != kHeadDim && args.head_dim != kIndexDim) {
    return "head_dim is neither 512 nor 128";
  }
  if (args.ug_stride % 4 != 0) return "rows of u and g are not 16-byte aligned";
  if (args.ug_stride < 4 * args.head_dim) return "rows are shorter than u and g";
  if (args.pages.length <= 0) return "no pages";
  if (args.head_dim == kHeadDim && args.entries.page_entries <= 0) return "pages have no entries";
  if (args.head_dim == kHeadDim && args.entries.page_bytes % 16 != 0) {
    return "pages are not 16-byte aligned";
  }
  return "";
}

}  // namespace v4cap::kernels::compressor_csa
