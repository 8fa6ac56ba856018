// Rows of the local experts, from the choices of all tokens: random ones, ranks at both ends of the
// experts, and all tokens with the same experts.
#include <fmt/format.h>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/expert_permute/expert_permute.h"

namespace v4cap::exec {
namespace {

namespace op = kernels::expert_permute;

constexpr int kActive = 6;

struct Shape {
  int tokens = 0, experts = 0, first = 0, local = 0;
  bool skewed = false;  // every token has the first experts
};

// Distinct experts for every token.
std::vector<std::int32_t> choices(const Shape& shape, std::uint64_t seed) {
  std::vector<std::int32_t> chosen;
  std::uint64_t state = seed;
  for (int t = 0; t < shape.tokens; ++t) {
    const std::size_t begin = chosen.size();
    while (chosen.size() < begin + kActive) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto range = static_cast<std::uint64_t>(shape.skewed ? kActive + 2 : shape.experts);
      const auto e = static_cast<std::int32_t>((state >> 33) % range);
      bool seen = false;
      for (std::size_t i = begin; i < chosen.size(); ++i) seen = seen || chosen[i] == e;
      if (!seen) chosen.push_back(e);
    }
  }
  return chosen;
}

class ExpertPermuteCase : public OperatorCase<op::Args> {
 public:
  ExpertPermuteCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        chosen_(choices(shape, seed)),
        weights_(std::int64_t{shape.tokens} * kActive),
        offsets_(shape.local + 1),
        row_token_(std::int64_t{shape.tokens} * kActive),
        row_weight_(std::int64_t{shape.tokens} * kActive),
        token_row_(std::int64_t{shape.tokens} * kActive) {
    fill_normal(weights_, seed + 1, 0.1f, 0.4f);
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .active = kActive,
            .first_expert = shape_.first,
            .local_experts = shape_.local,
            .chosen = chosen_.at(side),
            .weights = weights_.at(side),
            .offsets = offsets_.at(side),
            .row_token = row_token_.at(side),
            .row_weight = row_weight_.at(side),
            .token_row = token_row_.at(side)};
  }

  void reset() override {
    offsets_.poison();
    row_token_.poison();
    row_weight_.poison();
    token_row_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Expected expected = op::reference(args(Side::host));
    const std::size_t rows = expected.row_token.size();
    auto row_token = row_token_.host();
    row_token.resize(rows);
    std::vector<std::int32_t> expected_weight, weight;
    for (std::size_t r = 0; r < rows; ++r) {
      expected_weight.push_back(
          static_cast<std::int32_t>(kernels::bits_of(expected.row_weight[r])));
      weight.push_back(static_cast<std::int32_t>(kernels::bits_of(row_weight_.host()[r])));
    }
    return {compare_exactly("offsets", expected.offsets, offsets_.host()),
            compare_exactly("row_token", expected.row_token, row_token),
            compare_exactly("row_weight", expected_weight, weight),
            compare_exactly("token_row", expected.token_row, token_row_.host())};
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens, .active = kActive});
  }

 private:
  Shape shape_;
  Buffer<std::int32_t> chosen_;
  Buffer<float> weights_;
  Buffer<std::int32_t> offsets_, row_token_;
  Buffer<float> row_weight_;
  Buffer<std::int32_t> token_row_;
};

constexpr auto spec = case_of<ExpertPermuteCase, Shape>;

Suite suite() {
  Suite s{.name = "expert_permute"};
  s.check = {
      spec("1 token, all experts", {1, 8, 0, 8}, true),
      spec("37 tokens, 3 of 16 experts", {37, 16, 5, 3}, true),
      spec("1365 tokens, 48 of 384", {1365, 384, 336, 48}),
      spec("1366 tokens, 1024 of 1024", {1366, 1024, 0, 1024}),
      spec("1400 tokens, same experts", {1400, 256, 0, 32, true}, true),
      spec("5000 tokens, 32 of 256", {5000, 256, 64, 32}),
      spec("16384 tokens, none local", {16384, 256, 300, 32}),
  };
  for (const int tokens : {1, 64, 512, 4096, 16384}) {
    s.bench.push_back(spec(fmt::format("Pro EP8 T={}", tokens), {tokens, 384, 48, 48}));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
