// layer_decode_longest, ranks_decode_longest: layer_decode with one sequence longer than all others. Kernels size and cut
// their work by the longest context of a batch, so that it takes more than the mean of its sequences
// says.
#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

class LayerDecodeLongest final : public LayerFamily {
 public:
  using LayerFamily::LayerFamily;

  ProfileFamily describe() const override {
    ProfileFamily f = entry("decode_longest",
                            "as decode, with one sequence so many tokens longer than the others, "
                            "which have `past` tokens each; layers that keep more than a window");
    f.axes = {{"batch", "rows"}, {"past", "tokens"}, {"beyond", "tokens"}};
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    if (!has_points(rank)) return {};
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

 private:
  LayerTask task_of(const Point& point) const override {
    return {.what = LayerTask::What::longest,
            .sequences = static_cast<std::int64_t>(point.at[0]),
            .past = static_cast<std::int64_t>(point.at[1]),
            .beyond = static_cast<std::int64_t>(point.at[2])};
  }
};

const bool registered =
    FamilyRegistry::add("layer_decode_longest",
                        [] { return std::make_unique<LayerDecodeLongest>(false); }) &&
    FamilyRegistry::add("ranks_decode_longest",
                        [] { return std::make_unique<LayerDecodeLongest>(true); });

}  // namespace
}  // namespace v4cap::exec::calibrate
