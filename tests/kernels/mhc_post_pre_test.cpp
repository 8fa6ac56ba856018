// The fused operator must give what the two give one after the other, by way of bf16 streams.
#include "kernels/mhc_post_pre/mhc_post_pre.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/mhc_post_pre/launch.h"
#include "kernels/reference.h"

namespace v4cap::kernels::mhc_post_pre {
namespace {

TEST_CASE("mhc_post_pre: the mixes come from the new streams as rounded") {
  constexpr std::size_t kHidden = 256;
  // Steps of bf16 are 2^-7 above 1: 1 + 2^-9 becomes 1.
  const std::vector<Bf16> x(4 * kHidden, to_bf16(1.0f)), y(kHidden, to_bf16(0.0f));
  const std::vector<float> old_post(4, 1.0f);
  std::vector<float> old_comb(16);
  for (std::size_t i = 0; i < 4; ++i) old_comb[i * 5] = 1 + 1.0f / 512;
  std::vector<float> fn(4 * 4 * kHidden), scale = {1}, base(4);
  mhc_pre::Args pre{.tokens = 1,
                    .hidden = kHidden,
                    .mixes = 4,
                    .fn = fn.data(),
                    .scale = scale.data(),
                    .base = base.data()};
  const Expected e = reference({.post = {.tokens = 1,
                                         .hidden = kHidden,
                                         .x = x.data(),
                                         .y = y.data(),
                                         .post = old_post.data(),
                                         .comb = old_comb.data()},
                                .pre = pre});
  CHECK(e.streams[0] == 1 + 1.0 / 512);
  CHECK(e.pre.y[0] == doctest::Approx(4 * (0.5 + 1e-6)).epsilon(1e-9));
}

TEST_CASE("mhc_post_pre: both halves must be of one shape") {
  const mhc_post::Args post{.tokens = 1000, .hidden = 4096};
  float out[1] = {};
  const mhc_pre::Args pre{.tokens = 1000, .hidden = 4096, .post = out, .comb = out};
  CHECK(refuses_mismatch({post, pre}).empty());
  CHECK(refuses_cluster({post, pre}).empty());
  CHECK_FALSE(refuses_mismatch({{.tokens = 200, .hidden = 4096}, pre}).empty());
  CHECK_FALSE(refuses_mismatch({{.tokens = 1000, .hidden = 7168}, pre}).empty());
  CHECK_FALSE(refuses_cluster({{.tokens = 1000, .hidden = 7168}, pre}).empty());
  // The last layer's write side is followed by the head's 4 mixes.
  const mhc_pre::Args head{.tokens = 1000, .hidden = 4096, .mixes = 4};
  CHECK(refuses_mismatch({post, head}).empty());
  CHECK_FALSE(refuses_cluster({post, head}).empty());
}

}  // namespace
}  // namespace v4cap::kernels::mhc_post_pre
