// The reference of the embedding lookup on a table that can be read by eye.
#include "kernels/embedding/embedding.h"

#include <doctest/doctest.h>

namespace v4cap::kernels::embedding {
namespace {

TEST_CASE("embedding: each token's row is repeated for every stream, token by token") {
  std::vector<Bf16> table;
  for (int row = 0; row < 3; ++row) {
    for (int c = 0; c < 8; ++c) table.push_back(to_bf16(static_cast<float>(10 * row + c)));
  }
  const std::vector<std::int32_t> tokens = {2, 0};
  const std::vector<Bf16> x = reference(
      {.tokens = 2, .hidden = 8, .streams = 4, .token_ids = tokens.data(), .table = table.data()});
  REQUIRE(x.size() == 2 * 4 * 8);
  CHECK(to_float(x[0]) == 20);
  CHECK(to_float(x[3 * 8 + 7]) == 27);
  CHECK(to_float(x[4 * 8]) == 0);
  CHECK(to_float(x[7 * 8 + 5]) == 5);
}

}  // namespace
}  // namespace v4cap::kernels::embedding
