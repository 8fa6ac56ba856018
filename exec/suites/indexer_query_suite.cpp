// The indexer's query: 64 heads of 128 channels in V4-Pro and V4-Flash alike.
#include <fmt/format.h>

#include <cmath>

#include "exec/suite.h"
#include "exec/suites/entry_operands.h"
#include "exec/suites/operands.h"
#include "kernels/indexer_query/indexer_query.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
using kernels::KeyFormat;
using kernels::kIndexDim;
using kernels::kIndexHeads;
namespace op = kernels::indexer_query;

struct Shape {
  KeyFormat format = KeyFormat::fp8;
  std::vector<Part> parts;
};

class IndexerQueryCase : public OperatorCase<op::Args> {
 public:
  IndexerQueryCase(const Shape& shape, std::uint64_t seed)
      : format_(shape.format),
        batch_(shape.parts),
        rope_(rope_operand(batch_)),
        q_(rows() * kIndexDim),
        w_(batch_.tokens() * kStride),
        codes_(rows() * (format_ == KeyFormat::fp8 ? kIndexDim : kIndexDim / 2)),
        scales_(format_ == KeyFormat::fp8 ? 0 : rows() * 4),
        weights_(rows()) {
    fill_normal(q_, seed, 1.5f);
    fill_normal(w_, seed + 1, 0.3f, -2.0f);  // never 0, or the folded scale could not be found
  }

  op::Args args(Side side) override {
    return {.batch = batch_.at(side),
            .q = q_.at(side),
            .w = w_.at(side),
            .w_stride = kStride,
            .rope = rope_.at(side),
            .format = format_,
            .codes = codes_.at(side),
            .scales = scales_.at(side),
            .weights = weights_.at(side)};
  }

  void reset() override {
    codes_.poison();
    scales_.poison();
    weights_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    const op::Expected expected = op::reference(args);
    std::vector<double> dequantised, weights;
    for (std::int64_t row = 0; row < rows(); ++row) {
      const double weight = kernels::real(args.weights[row]);
      weights.push_back(weight);
      // The FP8 scale is found in the weight alone.
      const double folded = kernels::real(args.w[row / kIndexHeads * kStride + row % kIndexHeads]) /
                            (std::sqrt(128.0) * 8);
      for (int c = 0; c < kIndexDim; ++c) {
        if (format_ == KeyFormat::fp8) {
          dequantised.push_back(
              kernels::real(kernels::e4m3_to_float(args.codes[row * kIndexDim + c])) * weight /
              folded);
        } else {
          const int pair = args.codes[(row * kIndexDim + c) / 2];
          const auto code = static_cast<std::uint8_t>(pair >> (c % 2 * 4) & 15);
          dequantised.push_back(
              kernels::real(kernels::e2m1_to_float(code)) *
              kernels::real(kernels::ue8m0_to_float(args.scales[row * 4 + c / 32])));
        }
      }
    }
    std::vector<Finding> findings =
        compare("quantised", expected.dequantised, dequantised, kIndexDim, 2e-2);
    append(findings, compare("weights", expected.weights, weights, kIndexHeads, 1e-3));
    return findings;
  }

  kernels::Work work() const override {
    auto w = op::work({.tokens = batch_.tokens(),
                       .heads = kIndexHeads,
                       .head_dim = kIndexDim,
                       .key_bytes = format_ == KeyFormat::fp8 ? 132 : 72});
    w.activation_bytes += static_cast<double>(rows()) * (2 * kIndexDim + 4);  // q and w
    return w;
  }

 private:
  static constexpr std::int64_t kStride = kIndexHeads + 8;
  std::int64_t rows() const { return std::int64_t{batch_.tokens()} * kIndexHeads; }

  KeyFormat format_;
  BatchOperand batch_;
  Buffer<float> rope_;
  Buffer<Bf16> q_;
  Buffer<float> w_;
  Buffer<std::uint8_t> codes_, scales_;
  Buffer<float> weights_;
};

constexpr auto spec = case_of<IndexerQueryCase, Shape>;

Suite suite() {
  Suite s{.name = "indexer_query"};
  for (const KeyFormat format : {KeyFormat::fp8, KeyFormat::fp4}) {
    const std::string name = format == KeyFormat::fp8 ? "FP8" : "FP4";
    s.check.push_back(spec(name + ", 1 token at 0", {format, {{0, 1}}}, true));
    s.check.push_back(
        spec(name + ", 71 tokens of 3 sequences", {format, {{3, 1}, {4000, 69}, {90000, 1}}}));
    for (const int tokens : {1, 128}) {
      s.bench.push_back(spec(fmt::format("{} decode, {} tokens", name, tokens),
                             {format, decode_parts(tokens, 4100)}));
    }
    s.bench.push_back(spec(name + " prefill, 8192 tokens", {format, {{0, 8192}}}, false,
                           {80, 95, "% HBM", "estimated", "a copy of its operands"}));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

}  // namespace
}  // namespace v4cap::exec
