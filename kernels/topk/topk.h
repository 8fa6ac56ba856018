// The positions of the k largest of the first lengths[r] scores of each row, as a set: exact, in
// any order, ties at the threshold broken freely. A row with no more than k scores gives all of
// them: positions take its first min(k, length) places, and -1 fills its end. Attention relies on
// that: it walks only the places that can be used. Scores are finite; the time must not depend much
// on their distribution (all-equal scores at most twice the time of normal ones).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/topk/work.h"

namespace v4cap::kernels::topk {

struct Args {
  int rows = 0;
  int k = 0;
  const float* scores = nullptr;  // [rows, stride]
  std::int64_t stride = 0;
  const std::int32_t* lengths = nullptr;  // [rows]
  int max_length = 0;                     // of any row
  std::int32_t* selected = nullptr;       // [rows, k]
};

// Per row what a right answer must hold: the threshold (k-th largest score) and how many lie above.
struct Expected {
  std::vector<float> threshold;
  std::vector<std::int32_t> above;
};
Expected reference(const Args& args);

}  // namespace v4cap::kernels::topk
