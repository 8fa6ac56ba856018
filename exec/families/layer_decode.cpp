// layer_decode: one whole layer of a captured decode step, for sequences of equal contexts.
#include <algorithm>
#include <string>

#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

// Of context in a batch. Five sequences of 1 Mi tokens ended with a launch failure on an H100 whose
// cause is not known; four pass.
constexpr double kMostTokens = 4.2e6;

class LayerDecode final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "layer_decode";
    f.grain = ProfileGrain::module;
    f.kernel_source = "v4exec";
    f.keys = {"model", "tp", "ep", "layer"};
    f.axes = {{"batch", "rows"}, {"past", "tokens"}};
    f.covers = {"layer"};
    f.note =
        "whole layers of one kind, the mean of those of captured steps of different tokens; "
        "weights "
        "of two layers in turn, KV of each layer; a batch of equal contexts; collectives skipped";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    const bool quick = size == GridSize::quick;
    const std::vector<double> batches =
        quick ? std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256}
              : std::vector<double>{1,  2,  3,  4,  5,  6,  7,  8,  12,  16,  20,
                                    24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256};
    // A graph is captured for contexts up to a power of two: full grids have both ends of each.
    std::vector<double> pasts{1, 127, 2047};
    if (!quick) pasts.insert(pasts.end(), {511, 1023, 4095});
    for (double end = 8192; end <= 1 << 20; end *= quick ? 4 : 2) {
      if (!quick) pasts.push_back(end / 2);
      pasts.push_back(end - 1);
    }
    std::ranges::sort(pasts);
    std::vector<Point> all;
    for (const double batch : batches) {
      for (const double past : pasts) {
        if (batch * past > kMostTokens) continue;
        for (const std::string& kind : layer_kinds(rank.model)) {
          auto keys = rank_keys(rank);
          keys.push_back(kind);
          all.push_back({keys, {batch, past}});
        }
      }
    }
    return all;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto batch = static_cast<std::int64_t>(point.at[0]);
    const auto past = static_cast<std::int32_t>(point.at[1]);
    return times_.at(point.at, point.keys.back(),
                     [&] { return b.layers_of_decode(b.sequences(batch, past, 1)); });
  }

 private:
  TimedOnce times_;
};

const bool registered =
    FamilyRegistry::add("layer_decode", [] { return std::make_unique<LayerDecode>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
