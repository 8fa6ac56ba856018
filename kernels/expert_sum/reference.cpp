#include "kernels/reference.h"
#include "kernels/expert_sum/expert_sum.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::expert_sum {

std::vector<double> reference(const Args& args) {
  const auto hidden = static_cast<std::int64_t>(args.hidden);
  std::vector<double> y(static_cast<std::size_t>(args.tokens * hidden));
  for_each_index(args.tokens, [&](std::int64_t t) {
    double* out = y.data() + t * hidden;
    for (int k = 0; k < args.active; ++k) {
      const std::int64_t row = args.token_row[t * args.active + k];
      if (row < 0) continue;
      for (std::int64_t c = 0; c < hidden; ++c) out[c] += real(args.rows[row * hidden + c]);
    }
    if (args.shared == nullptr) return;
    for (std::int64_t c = 0; c < hidden; ++c) out[c] += real(args.shared[t * hidden + c]);
  });
  return y;
}

}  // namespace v4cap::kernels::expert_sum
