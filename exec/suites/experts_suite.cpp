// Routed experts. Checked by halves, W1 | W3 with SwiGLU and W2; timed together, as a layer runs
// them, one launch each: T tokens enter a group of 8 GPUs, of which this is one.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/experts/experts.h"
#include "kernels/reference.h"

namespace v4cap::exec {
namespace {

using kernels::Bf16;
namespace op = kernels::experts;

constexpr int kActive = 6;

struct Shape {
  std::vector<int> rows = {};  // of each local expert
  int tokens = 0;
  int hidden = 0, intermediate = 0;
  int low = 117, high = 121;  // exponents of the weights' scales
};

class Operands {
 public:
  Operands(Shape shape, std::uint64_t seed)
      : shape_(std::move(shape)),
        experts_(static_cast<int>(shape_.rows.size())),
        rows_(std::accumulate(shape_.rows.begin(), shape_.rows.end(), 0)),
        stride_(kernels::scale_stride_for(shape_.tokens)),
        row_stride_(kernels::scale_stride_for(max_rows())),
        x_codes_(std::int64_t{shape_.tokens} * shape_.hidden),
        x_scales_(stride_ * shape_.hidden / kernels::kGemmScaleBlock),
        w13_codes_(std::int64_t{experts_} * shape_.intermediate * shape_.hidden),
        w13_scales_(w13_codes_.size() / 16),
        w2_codes_(w13_codes_.size() / 2),
        w2_scales_(w13_scales_.size() / 2),
        row_weight_(max_rows()),
        a_codes_(std::int64_t{max_rows()} * shape_.intermediate),
        a_scales_(row_stride_ * shape_.intermediate / kernels::kGemmScaleBlock),
        y_(std::int64_t{max_rows()} * shape_.hidden) {
    std::vector<std::int32_t> offsets = {0}, row_token(static_cast<std::size_t>(max_rows()), 0);
    for (const int rows : shape_.rows) {
      // The tokens of an expert are distinct and in order, as expert_permute leaves them.
      for (int i = 0; i < rows; ++i) {
        row_token[static_cast<std::size_t>(offsets.back() + i)] =
            static_cast<std::int32_t>(std::int64_t{i} * shape_.tokens / rows);
      }
      offsets.push_back(offsets.back() + rows);
    }
    offsets_ = Buffer<std::int32_t>(std::move(offsets));
    row_token_ = Buffer<std::int32_t>(std::move(row_token));
    fill_e4m3(x_codes_, seed, 100.0f);
    fill_powers_of_two(x_scales_, seed + 1, -8, -6);
    fill_bytes(w13_codes_, seed + 2);
    fill_bytes(w13_scales_, seed + 3, shape_.low, shape_.high);
    fill_bytes(w2_codes_, seed + 4);
    fill_bytes(w2_scales_, seed + 5, shape_.low, shape_.high);
    fill_normal(row_weight_, seed + 6, 0.1f, 0.4f);
    fill_a(seed + 7);
  }

  // Input of W2 when W1 | W3 does not run before.
  void fill_a(std::uint64_t seed) {
    fill_e4m3(a_codes_, seed, 100.0f);
    fill_powers_of_two(a_scales_, seed + 1, -8, -6);
  }

  op::GateUpArgs gate_up(Side side) {
    return {.experts = experts_,
            .hidden = shape_.hidden,
            .intermediate = shape_.intermediate,
            .max_rows = max_rows(),
            .tokens = shape_.tokens,
            .x = {x_codes_.at(side), x_scales_.at(side), stride_},
            .w13 = {w13_codes_.at(side), w13_scales_.at(side)},
            .offsets = offsets_.at(side),
            .row_token = row_token_.at(side),
            .row_weight = row_weight_.at(side),
            .a = {a_codes_.at(side), a_scales_.at(side), row_stride_}};
  }
  op::DownArgs down(Side side) {
    return {.experts = experts_,
            .hidden = shape_.hidden,
            .intermediate = shape_.intermediate,
            .max_rows = max_rows(),
            .a = {a_codes_.at(side), a_scales_.at(side), row_stride_},
            .w2 = {w2_codes_.at(side), w2_scales_.at(side)},
            .offsets = offsets_.at(side),
            .y = y_.at(side)};
  }

  void poison_a() {
    a_codes_.poison();
    a_scales_.poison();
  }
  void poison_y() { y_.poison(); }

  std::vector<Finding> judge_gate_up() {
    const op::GateUpArgs args = gate_up(Side::host);
    if (activated_.dequantised.empty()) activated_ = op::reference(args);
    return compare("a", activated_.dequantised,
                   kernels::dequantise(args.a, rows_, shape_.intermediate), shape_.intermediate,
                   2e-2);
  }
  std::vector<Finding> judge_down() {
    // Of the input that is there, which may be what W1 | W3 just made.
    const std::vector<double> expected = op::reference(down(Side::host));
    std::vector<double> got = reals(y_);
    got.resize(expected.size());  // rows that no expert has lie behind
    return compare("y", expected, got, shape_.hidden, 5e-3);
  }

  // Both products: three matrices of a size for each expert. What the first leaves to the second is
  // not counted, so that the halves add up to the whole.
  kernels::Work work() const {
    const auto touched =
        std::count_if(shape_.rows.begin(), shape_.rows.end(), [](int rows) { return rows > 0; });
    return op::work({.tokens = rows_,
                     .hidden = shape_.hidden,
                     .intermediate = shape_.intermediate,
                     .active = 1,
                     .touched = static_cast<double>(touched),
                     .bytes_per_weight = 17.0 / 32});
  }
  kernels::Work gate_up_work() const {
    return part_of_work(2.0 / 3, rows_ * (1 + 1.0 / 32) * shape_.hidden);
  }
  kernels::Work down_work() const { return part_of_work(1.0 / 3, rows_ * 2.0 * shape_.hidden); }

 private:
  kernels::Work part_of_work(double share, double activation_bytes) const {
    kernels::Work w = work();
    w.flops_fp8 *= share;
    w.weight_bytes *= share;
    w.activation_bytes = activation_bytes;
    return w;
  }

  int max_rows() const { return std::max(shape_.tokens * kActive, rows_); }

  Shape shape_;
  int experts_, rows_;
  std::int64_t stride_, row_stride_;
  Buffer<std::uint8_t> x_codes_;
  Buffer<float> x_scales_;
  Buffer<std::uint8_t> w13_codes_, w13_scales_, w2_codes_, w2_scales_;
  Buffer<std::int32_t> offsets_, row_token_;
  Buffer<float> row_weight_;
  Buffer<std::uint8_t> a_codes_;
  Buffer<float> a_scales_;
  Buffer<Bf16> y_;
  op::GateUpExpected activated_;
};

// A half, with operands of its own or with those that both halves work on.
class GateUpCase : public OperatorCase<op::GateUpArgs> {
 public:
  GateUpCase(const Shape& shape, std::uint64_t seed)
      : operands_(std::make_shared<Operands>(shape, seed)) {}
  explicit GateUpCase(std::shared_ptr<Operands> operands) : operands_(std::move(operands)) {}
  op::GateUpArgs args(Side side) override { return operands_->gate_up(side); }
  void reset() override { operands_->poison_a(); }
  std::vector<Finding> judge() override { return operands_->judge_gate_up(); }
  kernels::Work work() const override { return operands_->gate_up_work(); }

 private:
  std::shared_ptr<Operands> operands_;
};

class DownCase : public OperatorCase<op::DownArgs> {
 public:
  DownCase(const Shape& shape, std::uint64_t seed)
      : operands_(std::make_shared<Operands>(shape, seed)) {}
  explicit DownCase(std::shared_ptr<Operands> operands) : operands_(std::move(operands)) {}
  op::DownArgs args(Side side) override { return operands_->down(side); }
  void reset() override { operands_->poison_y(); }
  std::vector<Finding> judge() override { return operands_->judge_down(); }
  kernels::Work work() const override { return operands_->down_work(); }

 private:
  std::shared_ptr<Operands> operands_;
};

// Both products, one after the other; the versions are those that both have.
class ExpertsCase : public Case {
 public:
  ExpertsCase(const Shape& shape, std::uint64_t seed)
      : ExpertsCase(std::make_shared<Operands>(shape, seed)) {}

  std::vector<VersionInfo> versions(const Device& device) override {
    const auto seconds = down_.versions(device);
    std::vector<VersionInfo> both;
    pairs_.clear();
    const auto firsts = gate_up_.versions(device);
    for (std::size_t i = 0; i < firsts.size(); ++i) {
      for (std::size_t j = 0; j < seconds.size(); ++j) {
        if (firsts[i].name != seconds[j].name) continue;
        both.push_back(firsts[i]);
        if (both.back().refusal.empty()) both.back().refusal = seconds[j].refusal;
        both.back().usable = firsts[i].usable && seconds[j].usable;
        pairs_.emplace_back(i, j);
      }
    }
    return both;
  }
  void launch(std::size_t version, kernels::Stream stream) override {
    gate_up_.launch(pairs_[version].first, stream);
    down_.launch(pairs_[version].second, stream);
  }
  void reset() override {
    gate_up_.reset();
    down_.reset();
  }
  void poison_workspace() override {
    gate_up_.poison_workspace();
    down_.poison_workspace();
  }
  std::vector<Finding> judge() override {
    std::vector<Finding> findings = gate_up_.judge();
    append(findings, down_.judge());
    return findings;
  }
  kernels::Work work() const override { return operands_->work(); }

 private:
  explicit ExpertsCase(const std::shared_ptr<Operands>& operands)
      : operands_(operands), gate_up_(operands), down_(operands) {}

  std::shared_ptr<Operands> operands_;
  GateUpCase gate_up_;
  DownCase down_;
  std::vector<std::pair<std::size_t, std::size_t>> pairs_;
};

template <class T>
constexpr auto spec = case_of<T, Shape>;

// `rows` spread evenly over `experts`.
std::vector<int> balanced(int rows, int experts) {
  std::vector<int> each(static_cast<std::size_t>(experts), rows / experts);
  for (int e = 0; e < rows % experts; ++e) ++each[static_cast<std::size_t>(e)];
  return each;
}

// Popularity of all experts falls as 1 / rank^1.2; this GPU of `gpus` has every `gpus`-th of them,
// the hottest first. No expert gets a token twice.
std::vector<int> skewed(int tokens, int experts, int gpus = 8) {
  const int all = gpus * experts;
  double sum = 0;
  for (int e = 0; e < all; ++e) sum += std::pow(e + 1.0, -1.2);
  std::vector<int> rows;
  for (int e = 0; e < all; e += gpus) {
    const double share = std::pow(e + 1.0, -1.2) / sum;
    rows.push_back(std::min(tokens, static_cast<int>(std::lround(tokens * kActive * share))));
  }
  return rows;
}

Suite suite() {
  Suite s{.name = "experts"};
  const auto both_halves = [&](const std::string& name, const Shape& shape, bool small = false) {
    s.check.push_back(spec<GateUpCase>("W13 " + name, shape, small));
    s.check.push_back(spec<DownCase>("W2 " + name, shape, small));
  };
  both_halves("one row", {{0, 1, 0}, 1, 256, 256}, true);
  both_halves("no row", {{0, 0}, 1, 256, 256}, true);
  both_halves("several tiles, an idle expert", {{5, 0, 17, 70}, 80, 512, 768}, true);
  both_halves("large activations", {{33, 64, 65, 129, 8, 1}, 150, 1024, 512, 121, 124});
  both_halves("scales up to 2^12 apart", {{12, 40}, 50, 1024, 512, 110, 122});
  both_halves("scales up to 2^40 apart", {{12, 30, 70}, 80, 1024, 512, 90, 130});
  both_halves("Flash widths", {{12, 33}, 64, 4096, 2048});
  both_halves("Pro widths", {{9}, 16, 7168, 3072});
  s.check.push_back(spec<ExpertsCase>("W13 and W2", {{3, 12, 50}, 64, 512, 512}));

  struct Published {
    int tokens;
    double flash_us, pro_us;
  };
  // FP8 experts: no figure for MXFP4 weights on H100 is published.
  constexpr Published kPublished[] = {
      {1, 34, 57}, {64, 284, 1055}, {512, 312, 1100}, {4096, 494, 1418}, {16384, 1320, 2750}};
  for (const bool pro : {false, true}) {
    const int experts = pro ? 48 : 32;
    const auto shape = [&](std::vector<int> rows, int tokens) {
      return pro ? Shape{std::move(rows), tokens, 7168, 3072}
                 : Shape{std::move(rows), tokens, 4096, 2048};
    };
    const char* model = pro ? "Pro" : "Flash";
    for (const Published& p : kPublished) {
      const bool weights_bound = p.tokens == 64 || p.tokens == 512;
      const Goal goal = {
          .first_rung = pro ? p.pro_us : p.flash_us,
          .to_beat = weights_bound ? (pro ? 718.0 : 183.0) : (pro ? p.pro_us : p.flash_us),
          .unit = "us",
          .origin = weights_bound ? "estimated" : "published",
          .source = fmt::format("{} EP8 T={}, H100: rung FP8 weights, TensorRT-LLM 1.3.0rc20, warm "
                                "L2, published (AIConfigurator data){}",
                                model, p.tokens,
                                weights_bound ? "; to beat: FP4 bytes at 70 % of HBM" : "")};
      const int rows = std::max(1, p.tokens * kActive / 8);
      s.bench.push_back(spec<ExpertsCase>(fmt::format("{} EP8 T={}", model, p.tokens),
                                          shape(balanced(rows, experts), p.tokens), false, goal));
    }
    s.bench.push_back(spec<ExpertsCase>(fmt::format("{} EP8 T=512 power law", model),
                                        shape(skewed(512, experts), 512)));
  }
  return s;
}

const RegisterSuite kSuite{suite()};

template <class Half>
calibrate::OperatorGrid grid(const char* name) {
  using calibrate::Point, calibrate::Rank;
  calibrate::OperatorGrid g;
  g.name = name;
  g.covers = {"experts"};
  g.keys = {"distribution"};
  g.axes = {{"tokens", "tokens"}};
  g.note =
      "one of two halves, W1 | W3 with SwiGLU and W2; tokens are those of the whole "
      "expert-parallel "
      "group; power_law: popularity 1 / rank^1.2, this rank has the hottest expert";
  g.points = [](const Rank&, calibrate::GridSize size) {
    std::vector<Point> points;
    for (const char* distribution : {"balanced", "power_law"}) {
      for (const int tokens : calibrate::token_grid(size, 32768)) {
        points.push_back({{distribution}, {static_cast<double>(tokens)}});
      }
    }
    return points;
  };
  g.make = [](const Rank& rank, const Point& point) -> std::unique_ptr<Case> {
    const auto tokens = static_cast<int>(point.at[0]);
    const int experts = calibrate::local_experts(rank);
    Shape shape;
    shape.rows = point.keys[0] == "balanced"
                     ? balanced(std::max(1, tokens * kActive / rank.ep), experts)
                     : skewed(tokens, experts, rank.ep);
    shape.tokens = tokens;
    shape.hidden = static_cast<int>(rank.model.hidden);
    shape.intermediate = static_cast<int>(rank.model.moe.expert_intermediate);
    return std::make_unique<Half>(shape, 1);
  };
  return g;
}

const calibrate::RegisterGrid kGateUpGrid{grid<GateUpCase>("kernel_experts_gate_up")},
    kDownGrid{grid<DownCase>("kernel_experts_down")};

}  // namespace
}  // namespace v4cap::exec
