// The reference of the multi-token-prediction layer's input on numbers that can be added by hand.
#include "kernels/mtp_merge/mtp_merge.h"

#include <doctest/doctest.h>

namespace v4cap::kernels::mtp_merge {
namespace {

TEST_CASE("mtp_merge: the token's one embedding is added to each of its streams") {
  std::vector<Bf16> e, h;
  for (int i = 0; i < 2 * 8; ++i) e.push_back(to_bf16(static_cast<float>(100 * i)));
  for (int i = 0; i < 2 * 3 * 8; ++i) h.push_back(to_bf16(static_cast<float>(i)));
  const std::vector<double> x =
      reference({.tokens = 2, .hidden = 8, .streams = 3, .e = e.data(), .h = h.data()});
  REQUIRE(x.size() == h.size());
  CHECK(x[1] == 101);
  CHECK(x[2 * 8 + 1] == 117);                                        // third stream, e[0, 1]
  CHECK(x[3 * 8 + 2] == static_cast<double>(to_float(e[10])) + 26);  // second token, e[1, 2]
}

}  // namespace
}  // namespace v4cap::kernels::mtp_merge
