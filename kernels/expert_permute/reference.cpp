#include "kernels/expert_permute/expert_permute.h"

namespace v4cap::kernels::expert_permute {

Expected reference(const Args& args) {
  const auto pairs = static_cast<std::size_t>(args.tokens) * static_cast<std::size_t>(args.active);
  Expected e;
  e.token_row.assign(pairs, -1);
  e.offsets.push_back(0);
  for (int expert = 0; expert < args.local_experts; ++expert) {
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      if (args.chosen[pair] != args.first_expert + expert) continue;
      e.token_row[pair] = static_cast<std::int32_t>(e.row_token.size());
      e.row_token.push_back(static_cast<std::int32_t>(pair) / args.active);
      e.row_weight.push_back(args.weights[pair]);
    }
    e.offsets.push_back(static_cast<std::int32_t>(e.row_token.size()));
  }
  return e;
}

}  // namespace v4cap::kernels::expert_permute
