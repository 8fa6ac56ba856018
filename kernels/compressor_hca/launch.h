// How the portable version of compressor_hca is launched, and what it takes.
//
// A sequence's own unit of threads ("leader") does what touches its state: it finishes the block
// of 128 that was begun before this step, and keeps the rows that begin the next one. Blocks of 128
// that lie wholly in this step are pooled from its rows alone, by blocks of threads that look at
// 128 token rows each: two such blocks end at least 128 rows apart, so one is found at most.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/compressor_hca/compressor_hca.h"

namespace v4cap::kernels::compressor_hca {

// What the leader does with a sequence's new rows [0, tokens), the first at position `start`.
struct LeaderPart {
  int phase = 0;       // rows of the unfinished block that the state holds already
  int head = 0;        // new rows that go with them, the first ones
  bool emits = false;  // head finishes the block
  int tail = 0;        // last new rows, which begin a block that stays unfinished
};
V4CAP_HD constexpr LeaderPart leader_part(int start, int tokens) {
  LeaderPart part;
  part.phase = start % kRatio;
  if (part.phase != 0) {
    part.head = tokens < kRatio - part.phase ? tokens : kRatio - part.phase;
    part.emits = part.phase + part.head == kRatio;
  }
  part.tail = part.head == tokens ? 0 : (start + tokens) % kRatio;
  return part;
}

// The block that ends at new token `index` of its sequence lies wholly in this step.
V4CAP_HD constexpr bool wholly_new(int index) {
  return index >= kRatio - 1;
}

// Units of work: the leaders, then windows of 128 token rows.
constexpr int windows_of(const Args& args) {
  return wholly_new(args.batch.max_new_tokens - 1) ? (args.batch.tokens + kRatio - 1) / kRatio : 0;
}
constexpr int units_of(const Args& args) {
  return args.batch.sequences + windows_of(args);
}

// Whether 128 threads a sequence are enough, each folding a few rows one after the other.
constexpr bool few_rows(const Args& args) {
  return args.form == StateForm::online && args.batch.max_new_tokens <= 8;
}

inline std::string refuses(const Args& args) {
  if (args.ug_stride % 4 != 0) return "rows of u and g are not 16-byte aligned";
  if (args.ug_stride < 2 * kHeadDim) return "rows are shorter than u and g";
  if (args.pages.length <= 0) return "no pages";
  if (args.entries.page_entries <= 0) return "pages have no entries";
  if (args.entries.page_bytes % 16 != 0) return "pages are not 16-byte aligned";
  return "";
}

}  // namespace v4cap::kernels::compressor_hca
