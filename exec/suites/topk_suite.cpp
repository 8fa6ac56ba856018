// Top-k of the indexer's scores: long rows of few sequences in decode, many rows in prefill, and
// scores that are hard on a selection: equal, sorted, few distinct, nearly equal.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "exec/calibrate/grids.h"
#include "exec/calibrate/operator_family.h"
#include "exec/fill.h"
#include "exec/suite.h"
#include "exec/suites/operands.h"
#include "kernels/topk/launch.h"
#include "kernels/topk/topk.h"

namespace v4cap::exec {
namespace {

namespace op = kernels::topk;

enum class Scores : std::uint8_t { normal, equal, rising, falling, few, near, wide, crowded };

const char* name_of(Scores scores) {
  switch (scores) {
    case Scores::normal:
      return "normal";
    case Scores::equal:
      return "equal";
    case Scores::rising:
      return "rising";
    case Scores::falling:
      return "falling";
    case Scores::few:
      return "4 values";
    case Scores::near:
      return "near 100";
    case Scores::wide:
      return "wide range";
    case Scores::crowded:
      return "crowded";
  }
  return "";
}

struct Shape {
  int rows = 0, length = 0, k = 0;  // the longest row
  Scores scores = Scores::normal;
  bool ragged = false;  // rows of many lengths, some of them no longer than k
};

class TopkCase : public OperatorCase<op::Args> {
 public:
  TopkCase(const Shape& shape, std::uint64_t seed)
      : shape_(shape),
        stride_(shape.length + (shape.ragged ? 3 : 0)),
        scores_(shape.rows * stride_),
        selected_(std::int64_t{shape.rows} * shape.k) {
    std::vector<std::int32_t> lengths;
    for (int r = 0; r < shape.rows; ++r) {
      lengths.push_back(shape.ragged ? ragged_length(r) : shape.length);
    }
    lengths_ = Buffer<std::int32_t>(lengths);
    if (shape.scores == Scores::normal) {
      fill_normal(scores_, seed, 1.0f);
      return;
    }
    std::vector<float> values(static_cast<std::size_t>(scores_.size()));
    std::uint64_t state = seed * 2 + 1;
    for (std::size_t i = 0; i < values.size(); ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      values[i] = value(static_cast<std::int64_t>(i) % stride_, state >> 32);
    }
    scores_.upload(std::move(values));
  }

  op::Args args(Side side) override {
    return {.rows = shape_.rows,
            .k = shape_.k,
            .scores = scores_.at(side),
            .stride = stride_,
            .lengths = lengths_.at(side),
            .max_length = shape_.length,
            .selected = selected_.at(side)};
  }

  void launch(std::size_t version, kernels::Stream stream) override {
    launched_ = version;
    OperatorCase<op::Args>::launch(version, stream);
  }
  void reset() override { selected_.poison(); }

  std::vector<Finding> judge() override {
    const op::Args args = this->args(Side::host);
    if (expected_.threshold.empty()) expected_ = op::reference(args);
    std::vector<Finding> findings;
    std::map<std::string, int> faults;
    std::vector<bool> seen;
    for (int r = 0; r < shape_.rows; ++r) {
      const std::string fault = op::wrong(args, expected_, r, seen);
      if (!fault.empty()) ++faults[fault];
    }
    for (const auto& [what, rows] : faults) findings.push_back({what, 1.0 * rows, 0});
    if (faults.empty()) findings.push_back({"wrong rows", 0, 0});
    // The same input gives the same bits on every run.
    const auto [before, first] = selected_before_.emplace(launched_, selected_.host());
    if (!first) {
      findings.push_back(compare_exactly("a second run", before->second, selected_.host()));
    } else {
      findings.push_back({"a second run", 0, 0});
    }
    return findings;
  }

  kernels::Work work() const override {
    std::int64_t pairs = 0;
    for (int r = 0; r < shape_.rows; ++r) {
      pairs += shape_.ragged ? ragged_length(r) : shape_.length;
    }
    return op::work({.pairs = pairs, .selected = std::int64_t{shape_.rows} * shape_.k});
  }

 private:
  std::int32_t ragged_length(int row) const {
    const int lengths[] = {shape_.length, shape_.k,          shape_.k + 1,     0, 1,
                           shape_.k / 2,  shape_.length / 2, shape_.length - 1};
    return std::min(lengths[row % 8], shape_.length);
  }

  float value(std::int64_t place, std::uint64_t random) const {
    const auto r = static_cast<float>(random);
    switch (shape_.scores) {
      case Scores::rising:
        return static_cast<float>(place) * 0.25f - 1000.0f;
      case Scores::falling:
        return 1000.0f - static_cast<float>(place) * 0.25f;
      case Scores::few:
        return static_cast<float>(random % 4) - 1.5f;
      case Scores::near:
        return 100.0f + r * 1e-13f;
      case Scores::wide: {  // any finite number
        const auto bits = static_cast<std::uint32_t>(random) & 0xff7fffffu;
        return kernels::float_of_bits(bits);
      }
      case Scores::crowded:  // large ones at a stride that a kernel may share its work out by
        return (place % 1024 < 64 ? 100.0f : 0.0f) + r * 1e-9f;
      default:
        return 1.0f;
    }
  }

  Shape shape_;
  std::int64_t stride_;
  Buffer<float> scores_;
  Buffer<std::int32_t> lengths_, selected_;
  op::Expected expected_;
  std::size_t launched_ = 0;
  std::map<std::size_t, std::vector<std::int32_t>> selected_before_;
};

CaseSpec spec(const Shape& shape, bool small = false, const Goal& goal = {}) {
  const std::string name =
      fmt::format("{} of {}{}, {} rows, {}", shape.k, shape.ragged ? "up to " : "", shape.length,
                  shape.rows, name_of(shape.scores));
  return case_of<TopkCase, Shape>(name, shape, small, goal);
}

Suite suite() {
  Suite s{.name = "topk"};
  s.check = {
      spec({.rows = 8, .length = 700, .k = 512, .ragged = true}, true),
      spec({.rows = 2, .length = 5000, .k = 512, .scores = Scores::few}, true),
      spec({.rows = 8, .length = 10000, .k = 512, .ragged = true}, true),
      spec({.rows = 8, .length = 20000, .k = 512, .ragged = true}),
      spec({.rows = 1, .length = 5, .k = 1}),
      spec({.rows = 8, .length = 9000, .k = 1000, .ragged = true}),
      spec({.rows = 2, .length = 32768, .k = 7}),
      spec({.rows = 9, .length = 4097, .k = 1024, .ragged = true}),
      spec({.rows = 200, .length = 8191, .k = 1024, .ragged = true}),
      spec({.rows = 1, .length = 262144, .k = 1024}),
      spec({.rows = 3, .length = 262143, .k = 512, .ragged = true}),
      spec({.rows = 40, .length = 70001, .k = 1024}),
  };
  for (const Scores scores : {Scores::equal, Scores::rising, Scores::falling, Scores::few,
                              Scores::near, Scores::wide, Scores::crowded}) {
    s.check.push_back(spec({.rows = 2, .length = 100003, .k = 1024, .scores = scores}));
    s.check.push_back(spec({.rows = 1, .length = 262144, .k = 512, .scores = scores}));
  }
  const Goal one{25, 14.3, "us", "published",
                 "AIC-data sglang csa_topk_calib, H100, warm, one row of 262,144"};
  s.bench.push_back(spec({.rows = 1, .length = 262144, .k = 1024}, false, one));
  for (const Scores scores : {Scores::equal, Scores::rising, Scores::few}) {
    s.bench.push_back(spec({.rows = 1, .length = 262144, .k = 1024, .scores = scores}));
  }
  s.bench.push_back(spec({.rows = 1, .length = 16384, .k = 512}));
  s.bench.push_back(spec({.rows = 64, .length = 4096, .k = 1024}));
  s.bench.push_back(spec({.rows = 32, .length = 65536, .k = 1024}));
  s.bench.push_back(spec({.rows = 8192, .length = 262144, .k = 1024}, false,
                         {8100, 8100, "us", "published",
                          "AIC-data sglang, H100, warm, 8192 rows of 262,144 (Pro: 8.1-9.2 ms)"}));
  s.bench.push_back(spec({.rows = 264, .length = 262144, .k = 1024}));
  s.bench.push_back(spec({.rows = 264, .length = 262144, .k = 1024, .scores = Scores::rising}));
  return s;
}

const RegisterSuite kSuite{suite()};

constexpr std::pair<const char*, Scores> kDistributions[] = {{"normal", Scores::normal},
                                                             {"rising", Scores::rising},
                                                             {"equal", Scores::equal},
                                                             {"clustered", Scores::crowded}};

const calibrate::RegisterGrid kGrid{
    {.name = "kernel_topk",
     .covers = {"topk"},
     .keys = {"scores"},
     .axes = {{"rows", "rows"}, {"length", "rows"}},
     .note =
         "rows of scores of a length each; clustered: one score in 16 is large, 64 side by side",
     .points =
         [](const calibrate::Rank&, calibrate::GridSize size) {
           std::vector<int> rows{1, 32, 512}, lengths{2048, 16384, 262144};
           if (size == calibrate::GridSize::full) {
             rows = {1, 2, 4, 8, 16, 32, 64, 65, 128, 132, 256, 512, 1024, 4096, 8192};
             lengths = {512, 1024, 1025, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144};
           }
           std::vector<calibrate::Point> points;
           for (const auto& [name, scores] : kDistributions) {
             for (const int r : rows) {
               for (const int length : lengths) {
                 // Made on the device only where they are normal.
                 const auto most = std::int64_t{1} << (scores == Scores::normal ? 29 : 24);
                 if (std::int64_t{r} * length > most) continue;
                 points.push_back({{name}, {static_cast<double>(r), static_cast<double>(length)}});
               }
             }
           }
           return points;
         },
     .make = [](const calibrate::Rank& rank,
                const calibrate::Point& point) -> std::unique_ptr<Case> {
       Shape shape{static_cast<int>(point.at[0]), static_cast<int>(point.at[1]),
                   static_cast<int>(rank.model.indexer.top_k)};
       for (const auto& [name, scores] : kDistributions) {
         if (name == point.keys[0]) shape.scores = scores;
       }
       return std::make_unique<TopkCase>(shape, 1);
     }}};

}  // namespace
}  // namespace v4cap::exec
