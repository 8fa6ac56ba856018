// layer_prefill: one whole layer of a step that is launched kernel by kernel, for sequences of equal
// new and past tokens.
#include <algorithm>

#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr std::size_t kLayersTimed = 4;

class LayerPrefill final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "layer_prefill";
    f.grain = ProfileGrain::module;
    f.kernel_source = "v4exec";
    f.keys = {"model", "tp", "ep", "layer"};
    f.axes = {{"sequences", "rows"}, {"new", "tokens"}, {"past", "tokens"}};
    f.covers = {"layer"};
    f.note =
        "whole layers of one kind launched one by one, scaled so that all layers of a step sum up "
        "to their time together; weights of two layers in turn; new and past tokens are of each "
        "sequence; collectives skipped";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    const bool quick = size == GridSize::quick;
    const std::vector<double> counts =
        quick ? std::vector<double>{1, 2, 4, 8, 32} : std::vector<double>{1, 2, 4, 8, 16, 32, 64};
    const std::vector<double> fresh =
        quick ? std::vector<double>{1, 32, 128, 512, 1024, 2048, 4096, 8192}
              : std::vector<double>{1,    16,   32,   64,   128,  256,  512, 768,
                                    1024, 1536, 2048, 3072, 4096, 6144, 8192};
    const std::vector<double> pasts =
        quick ? std::vector<double>{0, 8192, 65536, 524288}
              : std::vector<double>{0, 2048, 8192, 32768, 131072, 524288};
    std::vector<Point> all;
    for (const double count : counts) {
      for (const double n : fresh) {
        if (count * n > RankBench::kStepTokens) continue;
        for (const double past : pasts) {
          if (past + n > RankBench::kMaxContext || count * past > 2.2e6) continue;
          if (past > 131072 && (n > 2048 || (quick && count * n > 512))) continue;
          for (const std::string& kind : layer_kinds(rank.model)) {
            auto keys = rank_keys(rank);
            keys.push_back(kind);
            all.push_back({keys, {count, n, past}});
          }
        }
      }
    }
    return all;
  }

  FamilyCost cost() const override { return {.setup_s = 12, .point_s = 0.05}; }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto sequences =
        b.sequences(static_cast<std::int64_t>(point.at[0]), static_cast<std::int32_t>(point.at[2]),
                    static_cast<std::int32_t>(point.at[1]));
    return layers_.at(context.rank.model, point.at, point.keys.back(), kLayersTimed,
                      [&](const std::vector<int>& layers) {
                        return b.time_prefill(sequences, layers, context.seconds);
                      });
  }

 private:
  LayersOfStep layers_;
};

const bool registered =
    FamilyRegistry::add("layer_prefill", [] { return std::make_unique<LayerPrefill>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
