// mHC, the write side of a sublayer and the read side of the next: V4-Pro's and V4-Flash's widths.
#include <cmath>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/mhc_post_pre/mhc_post_pre.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::mhc_post_pre;

struct Shape {
  int tokens = 0, hidden = 0;
  bool in_place = true;
};

class MhcPostPreCase : public OperatorCase<op::Args> {
 public:
  MhcPostPreCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        seed_(seed),
        x_(std::int64_t{shape.tokens} * 4 * shape.hidden),
        f_(std::int64_t{shape.tokens} * shape.hidden),
        old_post_(shape.tokens * 4),
        old_comb_(shape.tokens * 16),
        out_(shape.in_place ? 0 : x_.size()),
        fn_(std::int64_t{kernels::mhc_pre::kMixes} * 4 * shape.hidden),
        scale_(3),
        base_(kernels::mhc_pre::kMixes),
        y_(std::int64_t{shape.tokens} * shape.hidden),
        post_(shape.tokens * 4),
        comb_(shape.tokens * 16) {
    fill_normal(x_, seed_, 2.0f);
    fill_normal(f_, seed + 1, 1.0f);
    fill_normal(old_post_, seed + 2, 0.3f, 1.0f);
    // Rows add up to about 1, as the mixes' do: in place, launch after launch stays finite.
    fill_normal(old_comb_, seed + 3, 0.05f, 0.2f);
    fill_normal(fn_, seed + 4, 1 / std::sqrt(4.0f * static_cast<float>(shape.hidden)));
    fill_normal(scale_, seed + 5, 0.2f, 1.0f);
    fill_normal(base_, seed + 6, 0.7f);
  }

  op::Args args(Side side) override {
    Bf16* out = shape_.in_place ? x_.at(side) : out_.at(side);
    return {.post = {.tokens = shape_.tokens,
                     .hidden = shape_.hidden,
                     .x = x_.at(side),
                     .y = f_.at(side),
                     .post = old_post_.at(side),
                     .comb = old_comb_.at(side),
                     .out = out},
            .pre = {.tokens = shape_.tokens,
                    .hidden = shape_.hidden,
                    .x = out,
                    .fn = fn_.at(side),
                    .scale = scale_.at(side),
                    .base = base_.at(side),
                    .y = y_.at(side),
                    .post = post_.at(side),
                    .comb = comb_.at(side)}};
  }

  void reset() override {
    if (shape_.in_place) fill_normal(x_, seed_, 2.0f);
    for (Buffer<Bf16>* buffer : {&out_, &y_}) buffer->poison();
    for (Buffer<float>* buffer : {&post_, &comb_}) buffer->poison();
  }

  std::vector<Finding> judge() override {
    Buffer<Bf16>& out = shape_.in_place ? x_ : out_;
    out.touched();
    const std::vector<double> streams = reals(out);
    if (shape_.in_place) fill_normal(x_, seed_, 2.0f);
    const op::Expected expected = op::reference(args(Side::host));
    std::vector<Finding> findings;
    const auto add = [&](const char* what, const std::vector<double>& wanted,
                         const std::vector<double>& got, std::int64_t width, double tolerance) {
      append(findings, compare(what, wanted, got, width, tolerance));
    };
    add("streams", expected.streams, streams, shape_.hidden, 3e-3);
    add("y", expected.pre.y, reals(y_), shape_.hidden, 3e-3);
    add("post", expected.pre.post, reals(post_), 4, 1e-3);
    add("comb", expected.pre.comb, reals(comb_), 16, 1e-3);
    return findings;
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens, .hidden = shape_.hidden});
  }

 private:
  Shape shape_;
  std::uint64_t seed_;
  Buffer<Bf16> x_, f_;
  Buffer<float> old_post_, old_comb_;
  Buffer<Bf16> out_;
  Buffer<float> fn_, scale_, base_;
  Buffer<Bf16> y_;
  Buffer<float> post_, comb_;
};

constexpr auto spec = case_of<MhcPostPreCase, Shape>;

Suite suite() {
  Suite s{.name = "mhc_post_pre"};
  s.check = {
      spec("3 tokens of 512", {3, 512, false}, true),
      spec("18 tokens of 4096, in place", {18, 4096}, true),
      spec("33 tokens of 1280, in place", {33, 1280}),
      spec("143 tokens of 7168, in place", {143, 7168}),
      spec("1030 tokens of 512", {1030, 512, false}),
      // Clusters.
      spec("520 tokens of 7168, in place", {520, 7168}),
      spec("600 tokens of 7168", {600, 7168, false}),
      spec("513 tokens of 4096", {513, 4096, false}, true),
      spec("1000 tokens of 4096, in place", {1000, 4096}),
  };
  const auto goal = [](double rung, double to_beat, const char* unit, const std::string& source,
                       bool cold) { return Goal{rung, to_beat, unit, "published", source, cold}; };
  const std::string pair = "aiconfigurator data, H100, sglang: pre and post of one site, ";
  s.bench = {
      spec("Pro, 1 x 7168", {1, 7168}, false,
           goal(15.7, 13.7, "us", pair + "(19.2 + 8.2) / 2 us at 1 x 7168", false)),
      spec("Pro, 64 x 7168", {64, 7168}, false,
           goal(24, 24, "us", "mirage PR 677, fused, 64 x 4096, GPU not named", false)),
      spec("Pro, 16384 x 7168", {16384, 7168}, false,
           goal(1600, 1458, "us", pair + "(1474 + 1442) / 2 us at 16384 x 7168", true)),
      spec("Flash, 1 x 4096", {1, 4096}, false,
           goal(13.6, 11.9, "us", pair + "(17.7 + 6.0) / 2 us at 1 x 4096; rung: 1.15 times it",
                false)),
      spec("Flash, 16384 x 4096", {16384, 4096}, false,
           goal(920, 835, "us", pair + "(851 + 818) / 2 us at 16384 x 4096", true)),
  };
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_mhc_post_pre",
     .covers = {"mhc_post_pre"},
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
       return std::make_unique<MhcPostPreCase>(shape, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
