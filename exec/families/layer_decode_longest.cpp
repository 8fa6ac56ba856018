// layer_decode_longest: layer_decode with one sequence longer than all others. Kernels size and cut
// their work by the longest context of a batch, so that it takes more than the mean of its sequences
// says.
#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

class LayerDecodeLongest final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "layer_decode_longest";
    f.grain = ProfileGrain::module;
    f.kernel_source = "v4exec";
    f.keys = {"model", "tp", "ep", "layer"};
    f.axes = {{"batch", "rows"}, {"past", "tokens"}, {"beyond", "tokens"}};
    f.covers = {"layer"};
    f.note =
        "as layer_decode, with one sequence so many tokens longer than the others, which have "
        "`past` tokens each; layers that keep more than a window";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    const bool quick = size == GridSize::quick;
    const std::vector<double> batches = quick ? std::vector<double>{2, 8, 64, 128}
                                              : std::vector<double>{2, 4, 8, 16, 32, 64, 128, 256};
    const std::vector<double> pasts =
        quick ? std::vector<double>{2047, 16383} : std::vector<double>{511, 4095, 32767};
    const std::vector<double> beyonds =
        quick ? std::vector<double>{16384, 65536, 262144}
              : std::vector<double>{4096, 16384, 65536, 131072, 262144, 524288};
    std::vector<Point> all;
    for (const double batch : batches) {
      for (const double past : pasts) {
        for (const double beyond : beyonds) {
          for (const std::string& kind : layer_kinds(rank.model)) {
            if (kind.starts_with("window")) continue;
            auto keys = rank_keys(rank);
            keys.push_back(kind);
            all.push_back({keys, {batch, past, beyond}});
          }
        }
      }
    }
    return all;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto past = static_cast<std::int32_t>(point.at[1]);
    auto sequences = b.sequences(static_cast<std::int64_t>(point.at[0]), past, 1);
    sequences.front() = b.sequence(0, past + static_cast<std::int32_t>(point.at[2]), 1);
    return times_.at(point.at, point.keys.back(), [&] { return b.layers_of_decode(sequences); });
  }

 private:
  TimedOnce times_;
};

const bool registered = FamilyRegistry::add("layer_decode_longest",
                                            [] { return std::make_unique<LayerDecodeLongest>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
