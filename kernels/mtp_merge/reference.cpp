#include "kernels/reference.h"
#include "kernels/mtp_merge/mtp_merge.h"

namespace v4cap::kernels::mtp_merge {

std::vector<double> reference(const Args& args) {
  std::vector<double> x;
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    for (std::int64_t j = 0; j < args.streams; ++j) {
      for (std::int64_t c = 0; c < args.hidden; ++c) {
        x.push_back(real(args.e[t * args.hidden + c]) +
                    real(args.h[(t * args.streams + j) * args.hidden + c]));
      }
    }
  }
  return x;
}

}  // namespace v4cap::kernels::mtp_merge
