// Inverse RoPE and FP8 quantiser after attention, at the heads of V4-Pro (128) and V4-Flash (64).
#include <fmt/format.h>

#include <algorithm>

#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::kHeadDim;
namespace op = kernels::inverse_rope_quant;

struct Shape {
  int heads = 0;
  std::vector<Part> parts;
  int padded_heads = 0;  // of a row of o; 0: heads
};

class InverseRopeQuantCase : public OperatorCase<op::Args> {
 public:
  InverseRopeQuantCase(const Shape& shape, std::uint64_t seed)
      : heads_(shape.heads),
        o_stride_(std::int64_t{std::max(shape.heads, shape.padded_heads)} * kHeadDim),
        batch_(shape.parts),
        rope_(rope_operand(batch_)),
        o_(batch_.tokens() * o_stride_),
        codes_(batch_.tokens() * width()),
        scales_(width() / 128 * kernels::scale_stride_for(batch_.tokens())) {
    fill_normal(o_, seed, 0.3f);
  }

  op::Args args(Side side) override {
    return {.batch = batch_.at(side),
            .heads = heads_,
            .o = o_.at(side),
            .o_stride = o_stride_,
            .rope = rope_.at(side),
            .quantised = {codes_.at(side), scales_.at(side),
                          kernels::scale_stride_for(batch_.tokens())}};
  }

  void reset() override {
    codes_.poison();
    scales_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    return compare("quantised", op::reference(args).dequantised,
                   kernels::dequantise(args.quantised, batch_.tokens(), width()), kHeadDim, 1e-2);
  }

  kernels::Work work() const override {
    return op::work({.tokens = batch_.tokens(), .heads = heads_, .head_dim = kHeadDim});
  }

 private:
  std::int64_t width() const { return std::int64_t{heads_} * kHeadDim; }

  int heads_;
  std::int64_t o_stride_;
  BatchOperand batch_;
  Buffer<float> rope_;
  Buffer<Bf16> o_;
  Buffer<std::uint8_t> codes_;
  Buffer<float> scales_;
};

constexpr auto spec = case_of<InverseRopeQuantCase, Shape>;

Suite suite() {
  Suite s{.name = "inverse_rope_quant"};
  s.check = {
      spec("1 token, 1 head, position 0", {1, {{0, 1}}}, true),
      spec("7 tokens of 2 sequences, 3 heads", {3, {{500, 3}, {65000, 4}}}, true),
      spec("13 tokens, 5 heads", {5, {{127, 13}}}, true),
      spec("9 tokens, 16 heads of 64", {16, {{300, 8}, {70, 1}}, 64}, true),
      spec("77 tokens of 3 sequences, 128 heads", {128, {{9, 1}, {3000, 75}, {1000, 1}}}),
  };
  for (const int heads : {64, 128}) {
    const std::string model = heads == 64 ? "Flash" : "Pro";
    s.bench.push_back(spec(fmt::format("{} decode, 1 token", model), {heads, {{4100, 1}}}));
    s.bench.push_back(
        spec(fmt::format("{} decode, 128 tokens", model), {heads, decode_parts(128, 4100)}));
    s.bench.push_back(spec(fmt::format("{} prefill, 8192 tokens", model), {heads, {{0, 8192}}},
                           false, {80, 95, "% HBM", "estimated", "a copy of its operands"}));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
