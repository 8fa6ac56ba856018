// The reference of mHC's write side on numbers worked by hand.
#include "kernels/mhc_post/mhc_post.h"

#include <doctest/doctest.h>

namespace v4cap::kernels::mhc_post {
namespace {

TEST_CASE("mhc_post: streams are summed over the first index of C") {
  constexpr std::size_t kHidden = 256, kTokens = 2;
  std::vector<Bf16> x(kTokens * 4 * kHidden), y(kTokens * kHidden, to_bf16(10.0f));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t token = i / (4 * kHidden), stream = i / kHidden % 4;
    x[i] = to_bf16(static_cast<float>((token + 1) << stream));  // 1 2 4 8, then 2 4 8 16
  }
  std::vector<float> post(kTokens * 4), comb(kTokens * 16);
  for (std::size_t t = 0; t < kTokens; ++t) {
    post[t * 4 + 2] = 0.5f;
    comb[t * 16 + 1 * 4 + 2] = 3;   // stream 1 goes three times into stream 2
    comb[t * 16 + 3 * 4 + 0] = -1;  // stream 3 into stream 0
  }
  const std::vector<double> out = reference({.tokens = kTokens,
                                             .hidden = kHidden,
                                             .x = x.data(),
                                             .y = y.data(),
                                             .post = post.data(),
                                             .comb = comb.data()});
  const double wanted[kTokens][4] = {{-8, 0, 11, 0}, {-16, 0, 17, 0}};
  for (std::size_t i = 0; i < out.size(); ++i) {
    CHECK(out[i] == wanted[i / (4 * kHidden)][i / kHidden % 4]);
  }
}

}  // namespace
}  // namespace v4cap::kernels::mhc_post
