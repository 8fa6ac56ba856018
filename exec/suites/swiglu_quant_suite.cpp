// Clamped SwiGLU + FP8 quantiser of the shared expert: 3072 channels (V4-Pro), 2048 (V4-Flash).
#include <fmt/format.h>

#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/reference.h"
#include "kernels/swiglu_quant/swiglu_quant.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::swiglu_quant;

struct Shape {
  int rows = 0, intermediate = 0;
};

class SwigluQuantCase : public OperatorCase<op::Args> {
 public:
  SwigluQuantCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        gate_up_(std::int64_t{2} * shape.rows * shape.intermediate),
        codes_(std::int64_t{shape.rows} * shape.intermediate),
        scales_(shape.intermediate / 128 * kernels::scale_stride_for(shape.rows)) {
    fill_normal(gate_up_, seed, 6.0f);  // so that some numbers lie beyond the limit of 10
  }

  op::Args args(Side side) override {
    return {
        .rows = shape_.rows,
        .intermediate = shape_.intermediate,
        .gate_up = gate_up_.at(side),
        .limit = 10,
        .quantised = {codes_.at(side), scales_.at(side), kernels::scale_stride_for(shape_.rows)}};
  }

  void reset() override {
    codes_.poison();
    scales_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    return compare("quantised", op::reference(args).dequantised,
                   kernels::dequantise(args.quantised, shape_.rows, shape_.intermediate),
                   shape_.intermediate, 1e-2);
  }

  kernels::Work work() const override {
    return op::work({.rows = shape_.rows, .intermediate = shape_.intermediate});
  }

 private:
  Shape shape_;
  Buffer<Bf16> gate_up_;
  Buffer<std::uint8_t> codes_;
  Buffer<float> scales_;
};

constexpr auto spec = case_of<SwigluQuantCase, Shape>;

Suite suite() {
  Suite s{.name = "swiglu_quant"};
  s.check = {
      spec("1 row of 128", {1, 128}, true),
      spec("3 rows of 640", {3, 640}, true),
      spec("129 rows of 3072", {129, 3072}),
  };
  for (const int intermediate : {2048, 3072}) {
    for (const int rows : {1, 128, 8192}) {
      s.bench.push_back(spec(fmt::format("{} x {}", rows, intermediate), {rows, intermediate}));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
