// Top-k of the indexer: for every query the positions of its top_k largest scores, as a set. One
// pass over FP32 scores in, int32 positions out; comparisons are not counted as FLOPs.
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::topk {

struct Shape {
  std::int64_t pairs = 0;     // scores read, over all queries
  std::int64_t selected = 0;  // positions written, over all queries
};

constexpr Work work(const Shape& s) {
  Work w;
  w.activation_bytes = 4 * real(s.pairs) + 4 * real(s.selected);
  return w;
}

}  // namespace v4cap::kernels::topk
