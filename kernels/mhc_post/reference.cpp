#include "kernels/reference.h"
#include "kernels/mhc_post/mhc_post.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::mhc_post {

std::vector<double> reference(const Args& args) {
  constexpr int kStreams = 4;
  const std::int64_t hidden = args.hidden;
  std::vector<double> out(static_cast<std::size_t>(args.tokens * kStreams * hidden));
  for_each_index(args.tokens, [&](std::int64_t t) {
    const Bf16* x = args.x + t * kStreams * hidden;
    const Bf16* y = args.y + t * hidden;
    const float* post = args.post + t * kStreams;
    const float* comb = args.comb + t * kStreams * kStreams;
    for (int j = 0; j < kStreams; ++j) {
      double* row = out.data() + (t * kStreams + j) * hidden;
      for (std::int64_t c = 0; c < hidden; ++c) {
        double sum = real(post[j]) * real(y[c]);
        for (int i = 0; i < kStreams; ++i) {
          sum += real(comb[i * kStreams + j]) * real(x[i * hidden + c]);
        }
        row[c] = sum;
      }
    }
  });
  return out;
}

}  // namespace v4cap::kernels::mhc_post
