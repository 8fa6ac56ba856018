// Sum of a token's expert rows, with and without the shared expert's.
#include <fmt/format.h>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/expert_sum/expert_sum.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::expert_sum;

constexpr int kActive = 6;

struct Shape {
  int tokens = 0, hidden = 0;
  int one_in = 1;  // of the pairs is local
  bool shared = true;
};

class ExpertSumCase : public OperatorCase<op::Args> {
 public:
  ExpertSumCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape), y_(std::int64_t{shape.tokens} * shape.hidden) {
    // Rows in an order unlike the tokens', as experts order them.
    std::vector<std::int32_t> token_row(static_cast<std::size_t>(shape.tokens) * kActive, -1);
    for (int choice = 0; choice < kActive; ++choice) {
      for (int t = 0; t < shape.tokens; ++t) {
        const std::uint64_t pair =
            static_cast<std::uint64_t>(t) * kActive + static_cast<std::uint64_t>(choice) + seed;
        if ((pair * 0x9e3779b97f4a7c15u >> 40) % static_cast<std::uint64_t>(shape.one_in) != 0) {
          continue;
        }
        token_row[static_cast<std::size_t>(t * kActive + choice)] = local_rows_++;
      }
    }
    token_row_ = Buffer<std::int32_t>(std::move(token_row));
    rows_ = Buffer<Bf16>(std::int64_t{local_rows_} * shape.hidden);
    shared_ = Buffer<Bf16>(shape.shared ? y_.size() : 0);
    fill_normal(rows_, seed + 1, 0.5f);
    fill_normal(shared_, seed + 2, 0.5f);
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .active = kActive,
            .hidden = shape_.hidden,
            .rows = rows_.at(side),
            .token_row = token_row_.at(side),
            .shared = shape_.shared ? shared_.at(side) : nullptr,
            .y = y_.at(side)};
  }

  void reset() override { y_.poison(); }

  std::vector<Finding> judge() override {
    const auto expected = op::reference(args(Side::host));
    return compare("y", expected, reals(y_), shape_.hidden, 3e-3);
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens,
                     .local_rows = local_rows_,
                     .hidden = shape_.hidden,
                     .shared = shape_.shared});
  }

 private:
  Shape shape_;
  std::int32_t local_rows_ = 0;
  Buffer<std::int32_t> token_row_;
  Buffer<Bf16> rows_, shared_, y_;
};

constexpr auto spec = case_of<ExpertSumCase, Shape>;

Suite suite() {
  Suite s{.name = "expert_sum"};
  s.check = {
      spec("5 tokens of 72, all rows here", {5, 72}, true),
      spec("7 tokens of 2056, one row in 8, no shared", {7, 2056, 8, false}, true),
      spec("130 tokens of 7168, one row in 8", {130, 7168, 8}),
  };
  for (const int hidden : {7168, 4096}) {
    for (const int tokens : {64, 4096}) {
      s.bench.push_back(spec(fmt::format("{} EP8 T={}", hidden == 7168 ? "Pro" : "Flash", tokens),
                             {tokens, hidden, 8, false}));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
