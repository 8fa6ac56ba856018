#include <algorithm>

#include "kernels/embedding/embedding.h"

namespace v4cap::kernels::embedding {

std::vector<Bf16> reference(const Args& args) {
  std::vector<Bf16> x;
  x.reserve(static_cast<std::size_t>(args.tokens) * static_cast<std::size_t>(args.streams) *
            static_cast<std::size_t>(args.hidden));
  for (int t = 0; t < args.tokens; ++t) {
    const Bf16* row = args.table + static_cast<std::int64_t>(args.token_ids[t]) * args.hidden;
    for (int j = 0; j < args.streams; ++j) x.insert(x.end(), row, row + args.hidden);
  }
  return x;
}

}  // namespace v4cap::kernels::embedding
