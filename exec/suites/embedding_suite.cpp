// Embedding lookup into four residual streams, V4-Pro (7168 channels) and V4-Flash (4096).
#include <fmt/format.h>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/embedding/embedding.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::embedding;

struct Shape {
  int tokens = 0, hidden = 0, streams = 0, vocabulary = 0;
};

class EmbeddingCase : public OperatorCase<op::Args> {
 public:
  EmbeddingCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        token_ids_(shape.tokens),
        table_(std::int64_t{shape.vocabulary} * shape.hidden),
        x_(std::int64_t{shape.tokens} * shape.streams * shape.hidden) {
    fill_integers(token_ids_, seed, 0, shape.vocabulary - 1);
    fill_normal(table_, seed + 1, 1);
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .hidden = shape_.hidden,
            .streams = shape_.streams,
            .token_ids = token_ids_.at(side),
            .table = table_.at(side),
            .x = x_.at(side)};
  }

  void reset() override { x_.poison(); }

  std::vector<Finding> judge() override {
    std::vector<std::int32_t> expected, got;
    for (const Bf16 value : op::reference(args(Side::host))) expected.push_back(value.bits);
    for (const Bf16 value : x_.host()) got.push_back(value.bits);
    return {compare_exactly("x", expected, got)};
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens, .hidden = shape_.hidden, .streams = shape_.streams});
  }

 private:
  Shape shape_;
  Buffer<std::int32_t> token_ids_;
  Buffer<Bf16> table_;
  Buffer<Bf16> x_;
};

constexpr auto spec = case_of<EmbeddingCase, Shape>;

Suite suite() {
  Suite s{.name = "embedding"};
  s.check = {
      spec("1 token of 8 channels, 1 stream", {1, 8, 1, 3}, true),
      spec("5 tokens of 7168 channels, 4 streams", {5, 7168, 4, 100}, true),
      spec("300 tokens of 4096 channels, 3 streams", {300, 4096, 3, 1000}),
  };
  for (const int hidden : {4096, 7168}) {
    for (const int tokens : {1, 128, 8192}) {
      s.bench.push_back(spec(fmt::format("{} x {}", tokens, hidden), {tokens, hidden, 4, 129280}));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
