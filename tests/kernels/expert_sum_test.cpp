// The reference of the sum over a token's experts.
#include "kernels/expert_sum/expert_sum.h"

#include <doctest/doctest.h>

namespace v4cap::kernels::expert_sum {
namespace {

TEST_CASE("expert_sum: local rows and the shared one are added, others are left out") {
  std::vector<Bf16> rows, shared;
  for (const float value : {1.0f, 2.0f, 4.0f}) {
    for (int c = 0; c < 8; ++c) rows.push_back(to_bf16(value + 100.0f * static_cast<float>(c)));
  }
  for (int i = 0; i < 16; ++i) shared.push_back(to_bf16(0.5f));
  const std::vector<std::int32_t> token_row = {2, -1, 0, -1, -1, -1};
  Args args{
      .tokens = 2, .active = 3, .hidden = 8, .rows = rows.data(), .token_row = token_row.data()};
  const std::vector<double> routed = reference(args);
  CHECK(routed[0] == 5);    // rows 2 and 0
  CHECK(routed[3] == 604);  // 301 + 304 is rounded to bf16 before: 300 + 1 -> 300, 300 + 4 -> 304
  CHECK(routed[8] == 0);
  args.shared = shared.data();
  const std::vector<double> all = reference(args);
  CHECK(all[0] == 5.5);
  CHECK(all[8] == 0.5);
}

}  // namespace
}  // namespace v4cap::kernels::expert_sum
