// Sorting by expert: the reference on pairs that can be sorted by hand, and how pairs are cut up.
#include "kernels/expert_permute/expert_permute.h"

#include <doctest/doctest.h>

#include "kernels/expert_permute/launch.h"

namespace v4cap::kernels::expert_permute {
namespace {

TEST_CASE("expert_permute: rows are sorted by expert, within one by token") {
  const std::vector<std::int32_t> chosen = {7, 4, 5, 9, 4, 6};  // 3 tokens, 2 each
  const std::vector<float> weights = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
  const Expected e = reference({.tokens = 3,
                                .active = 2,
                                .first_expert = 4,
                                .local_experts = 3,
                                .chosen = chosen.data(),
                                .weights = weights.data()});
  CHECK(e.offsets == std::vector<std::int32_t>{0, 2, 3, 4});
  CHECK(e.row_token == std::vector<std::int32_t>{0, 2, 1, 2});
  CHECK(e.row_weight == std::vector<float>{0.2f, 0.5f, 0.3f, 0.6f});
  CHECK(e.token_row == std::vector<std::int32_t>{-1, 0, 2, -1, 1, 3});
}

TEST_CASE("expert_permute: chunks cover all pairs, a chunk is whole warps") {
  for (const int tokens : {0, 1, 5, 6, 170, 171, 1365, 1366, 16384}) {
    for (const int experts : {1, 48, 1024}) {
      CAPTURE(tokens);
      CAPTURE(experts);
      const Plan p = plan_of({.tokens = tokens, .active = 6, .local_experts = experts});
      CHECK(p.pairs == tokens * 6);
      CHECK(p.chunk % 32 == 0);
      CHECK(p.chunk * p.chunks >= p.pairs);
      CHECK(p.chunk * (p.chunks - 1) <= p.pairs);
      CHECK(p.counts == experts * p.chunks);
      if (p.one_block) CHECK(p.chunks <= kWarpsPerBlock);
    }
  }
}

TEST_CASE("expert_permute: one block sorts what a decode step has, many blocks a prefill") {
  const Args decode{.tokens = 512, .active = 6, .local_experts = 48};
  CHECK(plan_of(decode).one_block);
  CHECK(workspace_bytes(decode) == 0);
  const Args prefill{.tokens = 16384, .active = 6, .local_experts = 48};
  CHECK(!plan_of(prefill).one_block);
  CHECK(workspace_bytes(prefill) == std::size_t{48} * 384 * 4);
  CHECK(!refuses(Args{.local_experts = 1025}).empty());
  CHECK(!refuses(Args{.tokens = 1 << 23, .active = 6, .local_experts = 1}).empty());
  CHECK(refuses(prefill).empty());
}

}  // namespace
}  // namespace v4cap::kernels::expert_permute
