#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/parallel.h"
#include "kernels/reference.h"
#include "kernels/router/router.h"

namespace v4cap::kernels::router {

Expected reference(const Args& args) {
  const auto experts = static_cast<std::size_t>(args.experts);
  const auto active = static_cast<std::size_t>(args.active);
  const auto tokens = static_cast<std::size_t>(args.tokens);
  Expected e;
  e.scores.resize(tokens * experts);
  e.chosen.resize(tokens * active);
  e.weights.resize(tokens * active);
  for_each_index(args.tokens, [&](std::int64_t t) {
    const Bf16* x = args.x + t * args.hidden;
    double* scores = e.scores.data() + t * args.experts;
    for (int n = 0; n < args.experts; ++n) {
      const Bf16* gate = args.gate + std::int64_t{n} * args.hidden;
      double sum = 0;
      for (int k = 0; k < args.hidden; ++k) sum += real(x[k]) * real(gate[k]);
      // log(1 + e^z) without overflow.
      scores[n] = std::sqrt(std::max(sum, 0.0) + std::log1p(std::exp(-std::fabs(sum))));
    }
    std::int32_t* chosen = e.chosen.data() + t * args.active;
    if (args.table != nullptr) {
      const std::int32_t* row = args.table + std::int64_t{args.token_ids[t]} * args.active;
      std::copy(row, row + args.active, chosen);
    } else {
      std::vector<std::int32_t> order(experts);
      std::iota(order.begin(), order.end(), 0);
      const auto key = [&](std::int32_t n) { return scores[n] + real(args.bias[n]); };
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int32_t a, std::int32_t b) { return key(a) > key(b); });
      std::copy(order.begin(), order.begin() + args.active, chosen);
    }
    double sum = 0;
    for (int k = 0; k < args.active; ++k) sum += scores[chosen[k]];
    for (int k = 0; k < args.active; ++k) {
      e.weights[static_cast<std::size_t>(t * args.active + k)] =
          scores[chosen[k]] / sum * real(args.route_scale);
    }
  });
  return e;
}

}  // namespace v4cap::kernels::router
