// Router: the reference on scores that can be worked by hand, and how the product is cut up.
#include "kernels/router/router.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/router/launch.h"

namespace v4cap::kernels::router {
namespace {

TEST_CASE("router: the bias decides the choice but not the weights") {
  // One channel: the logits are the gate's numbers.
  const std::vector<Bf16> x = {to_bf16(1.0f)};
  std::vector<Bf16> gate;
  for (const float z : {0.0f, 2.0f, -3.0f, 1.0f}) gate.push_back(to_bf16(z));
  const std::vector<float> bias = {0.0f, -5.0f, 5.0f, 0.0f};
  const Expected e = reference({.tokens = 1,
                                .hidden = 1,
                                .experts = 4,
                                .active = 2,
                                .x = x.data(),
                                .gate = gate.data(),
                                .bias = bias.data(),
                                .route_scale = 1.5f});
  const double s2 = std::sqrt(std::log(1 + std::exp(-3.0)));
  const double s3 = std::sqrt(std::log(1 + std::exp(1.0)));
  CHECK(e.scores[0] == doctest::Approx(std::sqrt(std::log(2.0))));
  CHECK(e.chosen == std::vector<std::int32_t>{2, 3});
  CHECK(e.weights[0] == doctest::Approx(1.5 * s2 / (s2 + s3)));
  CHECK(e.weights[1] == doctest::Approx(1.5 * s3 / (s2 + s3)));
}

TEST_CASE("router: in hash layers the table decides") {
  const std::vector<Bf16> x = {to_bf16(1.0f), to_bf16(-1.0f)};
  std::vector<Bf16> gate;
  for (const float z : {0.0f, 2.0f, 9.0f}) gate.push_back(to_bf16(z));
  const std::vector<std::int32_t> table = {0, 1, 2, 0}, ids = {1, 0};
  const Expected e = reference({.tokens = 2,
                                .hidden = 1,
                                .experts = 3,
                                .active = 2,
                                .x = x.data(),
                                .gate = gate.data(),
                                .table = table.data(),
                                .token_ids = ids.data()});
  CHECK(e.chosen == std::vector<std::int32_t>{2, 0, 0, 1});
  for (const std::size_t t : {0u, 1u}) {
    CHECK(e.weights[2 * t] + e.weights[2 * t + 1] == doctest::Approx(1));
  }
  CHECK(e.weights[2] > e.weights[3]);  // the second token's logits are 0 and -2
}

TEST_CASE("router: few tokens use small tiles and parts of K, many tokens fill the GPU by tiles") {
  const Plan decode = plan_of({.tokens = 1, .hidden = 7168, .experts = 384});
  CHECK(decode.few);
  CHECK(decode.expert_tiles == 24);
  CHECK(decode.chunks_of_warp == 4);
  CHECK(decode.parts == 7);
  const Plan flash = plan_of({.tokens = 64, .hidden = 4096, .experts = 256});
  CHECK(flash.chunks_of_warp == 2);
  CHECK(flash.parts == 8);
  // The largest shape that is taken: no more parts than there may be.
  CHECK(plan_of({.tokens = 1, .hidden = 16384, .experts = 8}).parts == kMaxParts);
  const Plan prefill = plan_of({.tokens = 8192, .hidden = 7168, .experts = 384});
  CHECK(!prefill.few);
  CHECK(prefill.token_tiles * prefill.expert_tiles == 64 * 3);
  CHECK(prefill.parts == 1);
  CHECK(workspace_bytes({.tokens = 8192, .hidden = 7168, .experts = 384}) ==
        std::size_t{8192} * 384 * 4);
  CHECK(plan_of({.tokens = 65, .hidden = 256, .experts = 8}).parts == 1);
}

TEST_CASE("router: shapes that no version takes are refused") {
  const float bias = 0;
  const Args good{.tokens = 1, .hidden = 64, .experts = 8, .bias = &bias};
  CHECK(refuses(good).empty());
  for (const auto& change :
       {+[](Args& a) { a.experts = 12; }, +[](Args& a) { a.experts = 1032; },
        +[](Args& a) { a.active = 9; }, +[](Args& a) { a.hidden = 96; },
        +[](Args& a) { a.hidden = 16384 + 64; }, +[](Args& a) { a.bias = nullptr; }}) {
    Args bad = good;
    change(bad);
    CHECK(!refuses(bad).empty());
  }
}

}  // namespace
}  // namespace v4cap::kernels::router
