#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/topk/topk.h"

namespace v4cap::kernels::topk {

Expected reference(const Args& args) {
  const auto rows = static_cast<std::size_t>(args.rows);
  Expected expected{std::vector<float>(rows), std::vector<std::int32_t>(rows)};
  for_each_index(args.rows, [&](std::int64_t row) {
    const float* scores = args.scores + row * args.stride;
    const std::int32_t length = args.lengths[row];
    auto& threshold = expected.threshold[static_cast<std::size_t>(row)];
    auto& above = expected.above[static_cast<std::size_t>(row)];
    if (length <= args.k) {  // all of them are given: all lie above a threshold that none reaches
      threshold = -std::numeric_limits<float>::infinity();
      above = length;
      return;
    }
    std::vector<float> sorted(scores, scores + length);
    std::nth_element(sorted.begin(), sorted.begin() + args.k - 1, sorted.end(), std::greater<>());
    threshold = sorted[static_cast<std::size_t>(args.k - 1)];
    above = static_cast<std::int32_t>(
        std::count_if(scores, scores + length, [&](float x) { return x > threshold; }));
  });
  return expected;
}

}  // namespace v4cap::kernels::topk
