// layer_decode: one whole layer of a captured decode step, for sequences of equal contexts.
#include <string>

#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr std::size_t kLayersTimed = 12;
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
        "whole layers of one kind in a captured graph, scaled so that all layers of a step sum "
        "up to their time together; weights of two layers in turn, KV of each layer; a batch "
        "of equal contexts; collectives skipped";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    const std::vector<double> batches =
        size == GridSize::quick
            ? std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256}
            : std::vector<double>{1,  2,  3,  4,  5,  6,  7,  8,   12,  16,  20,  24,  28,
                                  32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256};
    const std::vector<double> pasts =
        size == GridSize::quick
            ? std::vector<double>{127, 2047, 8191, 32767, 131071, 524287}
            : std::vector<double>{1,     127,   511,   1023,   2047,   4095,   8191,
                                  16383, 32767, 65535, 131071, 262143, 524287, 1048575};
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
    const auto sequences = b.sequences(batch, past, 1);
    if (point.at != brought_to_) b.bring_to(sequences);
    brought_to_ = point.at;
    return layers_.at(context.rank.model, point.at, point.keys.back(), kLayersTimed,
                      [&](const std::vector<int>& layers) {
                        return b.time_decode(sequences, layers, context.seconds);
                      });
  }

 private:
  LayersOfStep layers_;
  std::vector<double> brought_to_;
};

const bool registered =
    FamilyRegistry::add("layer_decode", [] { return std::make_unique<LayerDecode>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
