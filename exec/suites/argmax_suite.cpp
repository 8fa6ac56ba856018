// Greedy sampling from V4's vocabulary of 129280, and rows that are hard: equal largest numbers,
// rows that are not aligned, fewer columns than threads, nothing above minus infinity.
#include <fmt/format.h>

#include <limits>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/argmax/argmax.h"

namespace v4cap::exec {
namespace {

namespace op = kernels::argmax;

enum class Logits { normal, ties, minus_infinity };

struct Shape {
  int rows = 0, width = 0;
  std::int64_t stride = 0;
  Logits logits = Logits::normal;
};

class ArgmaxCase : public OperatorCase<op::Args> {
 public:
  ArgmaxCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape), logits_(shape.rows * shape.stride), index_(shape.rows) {
    fill_normal(logits_, seed, 4);
    if (shape.logits == Logits::normal) return;
    std::vector<float> values = logits_.host();
    for (float& v : values) {
      // Steps of a quarter: each row's largest number occurs several times.
      v = shape.logits == Logits::ties ? 0.25f * static_cast<float>(static_cast<int>(v))
                                       : -std::numeric_limits<float>::infinity();
    }
    logits_.upload(std::move(values));
  }

  op::Args args(Side side) override {
    return {.rows = shape_.rows,
            .width = shape_.width,
            .logits = logits_.at(side),
            .stride = shape_.stride,
            .index = index_.at(side)};
  }

  void reset() override { index_.poison(); }

  std::vector<Finding> judge() override {
    return {compare_exactly("index", op::reference(args(Side::host)), index_.host())};
  }

  kernels::Work work() const override {
    return op::work({.rows = shape_.rows, .width = shape_.width});
  }

 private:
  Shape shape_;
  Buffer<float> logits_;
  Buffer<std::int32_t> index_;
};

constexpr auto spec = case_of<ArgmaxCase, Shape>;

Suite suite() {
  Suite s{.name = "argmax"};
  s.check = {
      spec("1 row of 1", {1, 1, 1}, true),
      spec("3 rows of 777 in 781", {3, 777, 781}, true),
      spec("2 rows of 5000, nothing above minus infinity", {2, 5000, 5000, Logits::minus_infinity}),
      spec("9 rows of 40001, ties", {9, 40001, 40004, Logits::ties}),
      spec("65 rows of 129280", {65, 129280, 129280}),
  };
  for (const int rows : {1, 16, 128}) {
    s.bench.push_back(spec(fmt::format("{} x 129280", rows), {rows, 129280, 129280}));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
