#include <limits>

#include "kernels/argmax/argmax.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::argmax {

std::vector<std::int32_t> reference(const Args& args) {
  std::vector<std::int32_t> index(static_cast<std::size_t>(args.rows));
  for_each_index(args.rows, [&](std::int64_t row) {
    const float* logits = args.logits + row * args.stride;
    float largest = -std::numeric_limits<float>::infinity();
    std::int32_t best = 0;
    for (std::int32_t c = 0; c < args.width; ++c) {
      if (logits[c] > largest) {
        largest = logits[c];
        best = c;
      }
    }
    index[static_cast<std::size_t>(row)] = best;
  });
  return index;
}

}  // namespace v4cap::kernels::argmax
