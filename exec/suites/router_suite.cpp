// Router at V4's widths: with a bias, and in hash layers with a table from token id to experts.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/reference.h"
#include "kernels/router/router.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::router;

constexpr int kActive = 6;
constexpr int kVocabulary = 1000;

struct Shape {
  int tokens = 0, hidden = 0, experts = 0;
  bool hash = false;
};

class RouterCase : public OperatorCase<op::Args> {
 public:
  RouterCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        x_(std::int64_t{shape.tokens} * shape.hidden),
        gate_(std::int64_t{shape.experts} * shape.hidden),
        bias_(shape.experts),
        table_(shape.hash ? std::int64_t{kVocabulary} * kActive : 0),
        token_ids_(shape.hash ? shape.tokens : 0),
        chosen_(std::int64_t{shape.tokens} * kActive),
        weights_(std::int64_t{shape.tokens} * kActive) {
    fill_normal(x_, seed, 1.0f);
    fill_normal(gate_, seed + 1, 1.0f / std::sqrt(static_cast<float>(shape.hidden)));
    fill_normal(bias_, seed + 2, 0.05f);
    if (shape.hash) {
      fill_integers(table_, seed + 3, 0, shape.experts - 1);
      fill_integers(token_ids_, seed + 4, 0, kVocabulary - 1);
    }
  }

  op::Args args(Side side) override {
    return {.tokens = shape_.tokens,
            .hidden = shape_.hidden,
            .experts = shape_.experts,
            .active = kActive,
            .x = x_.at(side),
            .gate = gate_.at(side),
            .bias = shape_.hash ? nullptr : bias_.at(side),
            .table = shape_.hash ? table_.at(side) : nullptr,
            .token_ids = shape_.hash ? token_ids_.at(side) : nullptr,
            .route_scale = 2.5f,
            .chosen = chosen_.at(side),
            .weights = weights_.at(side)};
  }

  void reset() override {
    chosen_.poison();
    weights_.poison();
  }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    if (expected_.chosen.empty()) expected_ = op::reference(args);
    if (shape_.hash) {
      auto findings = compare("weights", expected_.weights, reals(weights_), kActive, 1e-3);
      findings.push_back(compare_exactly("chosen", expected_.chosen, chosen_.host()));
      return findings;
    }
    // A set may differ where scores are nearly equal: what was chosen must not lie below the
    // threshold by more than that, and the weights must be those of what was chosen.
    double below = 0;
    std::vector<double> expected, got;
    for (std::int64_t t = 0; t < shape_.tokens; ++t) {
      const double* scores = expected_.scores.data() + t * shape_.experts;
      const auto key = [&](std::int32_t e) { return scores[e] + kernels::real(args.bias[e]); };
      const double threshold =
          key(expected_.chosen[static_cast<std::size_t>((t + 1) * kActive - 1)]);
      double sum = 0;
      for (int k = 0; k < kActive; ++k) {
        const std::int32_t e = args.chosen[t * kActive + k];
        const bool twice = std::find(args.chosen + t * kActive, args.chosen + t * kActive + k, e) !=
                           args.chosen + t * kActive + k;
        if (e < 0 || e >= shape_.experts || twice) return {{"chosen", 1, 0}};
        below = std::max(below, (threshold - key(e)) / std::fabs(threshold));
        sum += scores[e];
      }
      for (int k = 0; k < kActive; ++k) {
        expected.push_back(scores[args.chosen[t * kActive + k]] / sum * 2.5);
        got.push_back(kernels::real(args.weights[t * kActive + k]));
      }
    }
    auto findings = compare("weights", expected, got, kActive, 1e-3);
    findings.push_back({"chosen, below the threshold by", below, 1e-4});
    return findings;
  }

  kernels::Work work() const override {
    return op::work({.tokens = shape_.tokens,
                     .hidden = shape_.hidden,
                     .experts = shape_.experts,
                     .active = kActive});
  }

 private:
  Shape shape_;
  Buffer<Bf16> x_, gate_;
  Buffer<float> bias_;
  Buffer<std::int32_t> table_, token_ids_, chosen_;
  Buffer<float> weights_;
  op::Expected expected_;
};

constexpr auto spec = case_of<RouterCase, Shape>;

Suite suite() {
  Suite s{.name = "router"};
  s.check = {
      spec("3 tokens, 512 to 24 experts", {3, 512, 24}, true),
      spec("70 tokens, 320 to 40 experts", {70, 320, 40}, true),
      spec("1 token, 7168 to 384", {1, 7168, 384}),
      spec("17 tokens, 4096 to 256, hash", {17, 4096, 256, true}),
      spec("33 tokens, 7168 to 384", {33, 7168, 384}),
      spec("64 tokens, 4096 to 256", {64, 4096, 256}),
      spec("65 tokens, 4096 to 256, hash", {65, 4096, 256, true}),
      spec("300 tokens, 7168 to 384", {300, 7168, 384}),
      spec("129 tokens, 1024 to 1024", {129, 1024, 1024}),
  };
  for (const bool pro : {true, false}) {
    const int hidden = pro ? 7168 : 4096, experts = pro ? 384 : 256;
    for (const int tokens : {1, 16, 64, 512, 8192}) {
      Goal goal;
      if (tokens == 1 && pro) {
        goal = {
            .first_rung = 4.5,
            .to_beat = 2.02,
            .unit = "us",
            .origin = "published",
            .source = "7168 -> 384, B300: 2.02 us, cuBLAS 4.3-4.8 us; vllm-project/vllm PR 44217",
            .cold = false};
      }
      s.bench.push_back(spec(fmt::format("{} T={}", pro ? "Pro" : "Flash", tokens),
                             {tokens, hidden, experts}, false, goal));
    }
  }
  return s;
}

const RegisterSuite kSuite{suite()};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_router",
     .covers = {"router"},
     .keys = {"routing"},
     .axes = {{"tokens", "tokens"}},
     .note = "bias: by score; hash: by a table of token ids",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<calibrate::Point> points;
           for (const char* key : {"bias", "hash"}) {
             for (const int tokens : calibrate::token_grid(size, 16384)) {
               points.push_back({{key}, {static_cast<double>(tokens)}});
             }
           }
           return points;
         },
     .make = [](const calibrate::Rank& rank,
                const calibrate::Point& point) -> std::unique_ptr<Case> {
       const auto tokens = static_cast<int>(point.at[0]);
       return std::make_unique<RouterCase>(
           Shape{tokens, static_cast<int>(rank.model.hidden),
                 static_cast<int>(rank.model.moe.routed_experts), point.keys[0] == "hash"},
           1);
     }}};

}  // namespace
}  // namespace v4cap::exec
