// mHC, write side: V4-Pro's and V4-Flash's widths, out of place and in place.
#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/mhc_post/mhc_post.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::mhc_post;

struct Shape {
  int tokens = 0, hidden = 0;
  bool in_place = true;
};

class MhcPostCase : public OperatorCase<op::Args> {
 public:
  MhcPostCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        seed_(seed),
        x_(std::int64_t{shape.tokens} * 4 * shape.hidden),
        y_(std::int64_t{shape.tokens} * shape.hidden),
        post_(shape.tokens * 4),
        comb_(shape.tokens * 16),
        out_(shape.in_place ? 0 : x_.size()) {
    fill_normal(y_, seed + 1, 1.0f);
    fill_normal(post_, seed + 2, 0.3f, 1.0f);
    fill_normal(comb_, seed + 3, 0.1f, 0.25f);
    fill_normal(x_, seed_, 2.0f);
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .hidden = shape_.hidden,
            .x = x_.at(side),
            .y = y_.at(side),
            .post = post_.at(side),
            .comb = comb_.at(side),
            .out = shape_.in_place ? x_.at(side) : out_.at(side)};
  }

  void reset() override {
    if (shape_.in_place) fill_normal(x_, seed_, 2.0f);
    out_.poison();
  }

  std::vector<Finding> judge() override {
    Buffer<Bf16>& out = shape_.in_place ? x_ : out_;
    out.touched();
    const std::vector<double> got = reals(out);
    if (shape_.in_place) fill_normal(x_, seed_, 2.0f);
    return compare("streams", op::reference(args(Side::host)), got, shape_.hidden, 3e-3);
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens, .hidden = shape_.hidden, .streams = 4});
  }

 private:
  Shape shape_;
  std::uint64_t seed_;
  Buffer<Bf16> x_, y_;
  Buffer<float> post_, comb_;
  Buffer<Bf16> out_;
};

constexpr auto spec = case_of<MhcPostCase, Shape>;

Suite suite() {
  Suite s{.name = "mhc_post"};
  s.check = {
      spec("1 token of 256, in place", {1, 256}, true),
      spec("3 tokens of 1280", {3, 1280, false}, true),
      spec("77 tokens of 7168, in place", {77, 7168}),
      spec("130 tokens of 4096", {130, 4096, false}),
  };
  const std::string at = "aiconfigurator data, H100, sglang: half of the layer's two sites, ";
  const auto microseconds = [&](double us, double rung, const std::string& shape) {
    return Goal{rung, us, "us", "published", at + shape + ", state of L2 not given", false};
  };
  s.bench = {
      spec("Pro, 1 x 7168", {1, 7168}, false, microseconds(4.1, 5, "8.2 us at 1 x 7168")),
      spec("Pro, 1024 x 7168", {1024, 7168}, false, microseconds(49.5, 55, "99 us at 1024 x 7168")),
      spec("Pro, 16384 x 7168", {16384, 7168}, false,
           {80, 88, "% HBM", "published", at + "1442 us at 16384 x 7168", true}),
      spec("Flash, 1 x 4096", {1, 4096}, false, microseconds(3.0, 4, "6.0 us at 1 x 4096")),
      spec("Flash, 16384 x 4096", {16384, 4096}, false,
           {80, 88, "% HBM", "published", at + "818 us at 16384 x 4096", true}),
  };
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_mhc_post",
     .covers = {"mhc_post"},
     .axes = {{"tokens", "tokens"}},
     .note = "one sublayer",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<calibrate::Point> points;
           for (const int tokens : calibrate::token_grid(size, 16384)) {
             points.push_back({{}, {static_cast<double>(tokens)}});
           }
           return points;
         },
     .make = [](const calibrate::Rank& rank,
                const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       const Shape shape{tokens, static_cast<int>(rank.model.hidden)};
       return std::make_unique<MhcPostCase>(shape, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
