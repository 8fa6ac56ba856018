// RMSNorm + FP8 quantiser: the rows before the projections (7168, 4096 channels) and the latent
// query, a slice of the joint Wq_a | Wkv product (1536 of 2048 channels).
#include <fmt/format.h>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/reference.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::rmsnorm_quant;

struct Shape {
  int rows = 0, width = 0;
  std::int64_t stride = 0;
  bool norm = true, normed = true, quantised = true;
};

class RmsnormQuantCase : public OperatorCase<op::Args> {
 public:
  RmsnormQuantCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        x_(shape.rows * shape.stride),
        weight_(shape.width),
        normed_(shape.normed ? std::int64_t{shape.rows} * shape.width : 0),
        codes_(shape.quantised ? std::int64_t{shape.rows} * shape.width : 0),
        scales_(shape.quantised ? shape.width / 128 * kernels::scale_stride_for(shape.rows) : 0) {
    fill_normal(x_, seed, 3.0f);
    fill_normal(weight_, seed + 1, 0.2f, 1.0f);
  }

  op::Args args(Side side) override {
    return {.rows = shape_.rows,
            .width = shape_.width,
            .x = x_.at(side),
            .x_stride = shape_.stride,
            .weight = shape_.norm ? weight_.at(side) : nullptr,
            .normed = shape_.normed ? normed_.at(side) : nullptr,
            .quantised = {shape_.quantised ? codes_.at(side) : nullptr,
                          shape_.quantised ? scales_.at(side) : nullptr,
                          kernels::scale_stride_for(shape_.rows)}};
  }

  void reset() override {
    normed_.poison();
    codes_.poison();
    scales_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    const op::Expected expected = op::reference(args);
    std::vector<Finding> findings;
    if (shape_.normed) {
      // bf16 rounds to 2^-9 of a number at most, about 1.7e-3 in the mean square.
      findings = compare("normed", expected.normed, reals(normed_), shape_.width, 3e-3);
    }
    if (shape_.quantised) {
      append(findings, compare("quantised", expected.dequantised,
                               kernels::dequantise(args.quantised, shape_.rows, shape_.width),
                               shape_.width, 1e-2));
    }
    return findings;
  }

  kernels::Work work() const override {
    auto w =
        op::work({.tokens = shape_.rows, .hidden = shape_.width, .quantised = shape_.quantised});
    if (shape_.normed && shape_.quantised) w.activation_bytes += 2.0 * shape_.rows * shape_.width;
    return w;
  }

 private:
  Shape shape_;
  Buffer<Bf16> x_;
  Buffer<float> weight_;
  Buffer<Bf16> normed_;
  Buffer<std::uint8_t> codes_;
  Buffer<float> scales_;
};

constexpr auto spec = case_of<RmsnormQuantCase, Shape>;

Suite suite() {
  Suite s{.name = "rmsnorm_quant"};
  s.check = {
      spec("1 row of 128", {1, 128, 128}, true),
      spec("7 rows of 1536 in 2048, no bf16", {7, 1536, 2048, true, false, true}, true),
      spec("5 rows of 7168, quantised only, no norm", {5, 7168, 7168, false, false, true}),
      spec("257 rows of 4096, no quantiser", {257, 4096, 4096, true, true, false}),
      spec("33 rows of 16384", {33, 16384, 16384}),
  };
  for (const int width : {4096, 7168}) {
    for (const int rows : {1, 128, 8192}) {
      s.bench.push_back(spec(fmt::format("{} x {}", rows, width), {rows, width, width}));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_rmsnorm_quant",
     .covers = {"rmsnorm_quant"},
     .keys = {"rows"},
     .axes = {{"tokens", "tokens"}},
     .note = "hidden: before projections; q_lora: the latent query, a slice of a wider product",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<calibrate::Point> points;
           for (const char* key : {"hidden", "q_lora"}) {
             for (const int tokens : calibrate::token_grid(size, 16384)) {
               points.push_back({{key}, {static_cast<double>(tokens)}});
             }
           }
           return points;
         },
     .make = [](const calibrate::Rank& rank,
                const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       const std::int64_t width = point.keys[0] == "hidden" ? rank.model.hidden : rank.model.q_lora;
       const bool latent = point.keys[0] == "q_lora";
       const Shape shape{tokens,
                         static_cast<int>(width),
                         latent ? width + rank.model.head_dim : width,
                         true,
                         !latent,
                         true};
       return std::make_unique<RmsnormQuantCase>(shape, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
