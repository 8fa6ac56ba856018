// mHC, read side: V4-Pro's and V4-Flash's widths, before a sublayer (24 mixes) and the head (4).
#include <cmath>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/mhc_pre/mhc_pre.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::mhc_pre;

struct Shape {
  int tokens = 0, hidden = 0, mixes = op::kMixes;
};

class MhcPreCase : public OperatorCase<op::Args> {
 public:
  MhcPreCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        x_(std::int64_t{shape.tokens} * 4 * shape.hidden),
        fn_(std::int64_t{shape.mixes} * 4 * shape.hidden),
        scale_(3),
        base_(shape.mixes),
        y_(std::int64_t{shape.tokens} * shape.hidden),
        post_(before_head() ? 0 : shape.tokens * 4),
        comb_(before_head() ? 0 : shape.tokens * 16) {
    fill_normal(x_, seed, 2.0f);
    // Mixes of about 1, far from where sigmoid and softmax are flat.
    fill_normal(fn_, seed + 1, 1 / std::sqrt(4.0f * static_cast<float>(shape.hidden)));
    fill_normal(scale_, seed + 2, 0.2f, 1.0f);
    fill_normal(base_, seed + 3, 0.7f);
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .hidden = shape_.hidden,
            .mixes = shape_.mixes,
            .x = x_.at(side),
            .fn = fn_.at(side),
            .scale = scale_.at(side),
            .base = base_.at(side),
            .y = y_.at(side),
            .post = before_head() ? nullptr : post_.at(side),
            .comb = before_head() ? nullptr : comb_.at(side)};
  }

  void reset() override {
    y_.poison();
    post_.poison();
    comb_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Expected expected = op::reference(args(Side::host));
    std::vector<Finding> findings = compare("y", expected.y, reals(y_), shape_.hidden, 3e-3);
    const auto add = [&](const char* what, const std::vector<double>& wanted,
                         const std::vector<double>& got, std::int64_t width) {
      append(findings, compare(what, wanted, got, width, 1e-4));
    };
    if (!before_head()) {
      add("post", expected.post, reals(post_), 4);
      add("comb", expected.comb, reals(comb_), 16);
    }
    return findings;
  }

  kernels::Work work() const override {
    return op::work(
        {.tokens = shape_.tokens, .hidden = shape_.hidden, .streams = 4, .mixes = shape_.mixes});
  }

 private:
  bool before_head() const { return shape_.mixes == op::kStreams; }

  Shape shape_;
  Buffer<Bf16> x_;
  Buffer<float> fn_, scale_, base_;
  Buffer<Bf16> y_;
  Buffer<float> post_, comb_;
};

constexpr auto spec = case_of<MhcPreCase, Shape>;

Suite suite() {
  Suite s{.name = "mhc_pre"};
  s.check = {
      spec("1 token of 256", {1, 256}, true),
      spec("17 tokens of 768, before the head", {17, 768, 4}, true),
      spec("5 tokens of 4096", {5, 4096}, true),
      spec("131 tokens of 4096", {131, 4096}),
      spec("1 token of 7168", {1, 7168}),
      spec("143 tokens of 7168", {143, 7168}),
      // From here on clusters: the last tile not full, some clusters with a tile less; then more
      // than a round of the ring of tiles.
      spec("523 tokens of 7168", {523, 7168}),
      spec("513 tokens of 4096", {513, 4096}, true),
      spec("600 tokens of 7168", {600, 7168}),
      spec("1041 tokens of 4096", {1041, 4096}),
      spec("530 tokens of 7168, before the head", {530, 7168, 4}),
      spec("530 tokens of 4096, before the head", {530, 4096, 4}),
      spec("1030 tokens of 512, tiles of 64", {1030, 512}),
  };
  const std::string at = "aiconfigurator data, H100, sglang: half of the layer's two sites, ";
  const auto microseconds = [&](double us, double rung, const std::string& shape) {
    return Goal{rung, us, "us", "published", at + shape + ", state of L2 not given", false};
  };
  const Goal share{45, 48, "% HBM", "published", at + "1474 us at 16384 x 7168", true};
  s.bench = {
      spec("Pro, 1 x 7168", {1, 7168}, false, microseconds(9.6, 12, "19.2 us at 1 x 7168")),
      spec("Pro, 64 x 7168", {64, 7168}),
      spec("Pro, 256 x 7168", {256, 7168}),
      spec("Pro, 1024 x 7168", {1024, 7168}, false,
           microseconds(53.5, 56, "107 us at 1024 x 7168")),
      spec("Pro, 16384 x 7168", {16384, 7168}, false, share),
      spec("Flash, 1 x 4096", {1, 4096}, false, microseconds(8.9, 12, "17.7 us at 1 x 4096")),
      spec("Flash, 16384 x 4096", {16384, 4096}, false,
           {45, 47, "% HBM", "published", at + "851 us at 16384 x 4096", true}),
      spec("Pro before the head, 64 x 7168", {64, 7168, 4}),
  };
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_mhc_pre",
     .covers = {"mhc_pre"},
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
       return std::make_unique<MhcPreCase>(shape, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
