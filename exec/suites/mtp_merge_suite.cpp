// Input of the multi-token-prediction layer, V4-Pro (7168 channels) and V4-Flash (4096).
#include <fmt/format.h>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/mtp_merge/mtp_merge.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::mtp_merge;

struct Shape {
  int tokens = 0, hidden = 0, streams = 4;
  bool in_place = false;
};

class MtpMergeCase : public OperatorCase<op::Args> {
 public:
  MtpMergeCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        e_(std::int64_t{shape.tokens} * shape.hidden),
        h_(std::int64_t{shape.tokens} * shape.streams * shape.hidden),
        x_(h_.size()) {
    fill_normal(e_, seed, 1);
    fill_normal(h_, seed + 1, 1);
    h_.host();
  }

  op::Args args(Side side) override {
    const bool in_place = shape_.in_place && side == Side::device;
    return {.tokens = shape_.tokens,
            .hidden = shape_.hidden,
            .streams = shape_.streams,
            .e = e_.at(side),
            .h = in_place ? x_.at(side) : h_.at(side),
            .x = x_.at(side)};
  }

  void reset() override {
    if (shape_.in_place) {
      x_.upload(h_.host());
      x_.touched();
    } else {
      x_.poison();
    }
  }

  std::vector<Finding> judge() override {
    x_.touched();
    const std::vector<double> got = reals(x_);
    return compare("x", op::reference(args(Side::host)), got, shape_.hidden, 3e-3);
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens, .hidden = shape_.hidden, .streams = shape_.streams});
  }

 private:
  Shape shape_;
  Buffer<Bf16> e_;
  Buffer<Bf16> h_;
  Buffer<Bf16> x_;
};

constexpr auto spec = case_of<MtpMergeCase, Shape>;

Suite suite() {
  Suite s{.name = "mtp_merge"};
  s.check = {
      spec("1 token of 8 channels, 1 stream", {1, 8, 1}, true),
      spec("3 tokens of 7168 channels, in place", {3, 7168, 4, true}, true),
      spec("130 tokens of 4096 channels", {130, 4096}),
  };
  for (const int hidden : {4096, 7168}) {
    for (const int tokens : {1, 128, 8192}) {
      s.bench.push_back(spec(fmt::format("{} x {}", tokens, hidden), {tokens, hidden}));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
