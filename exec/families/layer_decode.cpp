// layer_decode, ranks_decode: one whole layer of a captured decode step, for sequences of equal contexts.
#include <algorithm>
#include <string>

#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr double kMostTokens = 4.2e6;  // of context in a batch: about what fits beside the weights

class LayerDecode final : public LayerFamily {
 public:
  using LayerFamily::LayerFamily;

  ProfileFamily describe() const override {
    ProfileFamily f = entry("decode",
                            "whole layers of one kind, the mean of those of captured steps of "
                            "different tokens; weights "
                            "of two layers in turn, KV of each layer; a batch of equal contexts");
    f.axes = {{"batch", "rows"}, {"past", "tokens"}};
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    if (!has_points(rank)) return {};
    const bool quick = size == GridSize::quick;
    const std::vector<double> batches =
        quick ? std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256}
              : std::vector<double>{1,  2,  3,  4,  6,  8,  12,  16,  20, 24,
                                    32, 40, 48, 64, 80, 96, 128, 192, 256};
    // A graph is captured for contexts up to a power of two. Where that matters most, full grids have
    // both ends of it.
    const std::vector<double> pasts =
        quick ? std::vector<double>{1, 127, 2047, 8191, 32767, 131071, 524287}
              : std::vector<double>{1,     127,   511,   2047,  4095,   4096,   8191,   8192,
                                    16383, 16384, 32767, 65535, 131071, 262143, 524287, 1048575};
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

 private:
  LayerTask task_of(const Point& point) const override {
    return {.what = LayerTask::What::decode,
            .sequences = static_cast<std::int64_t>(point.at[0]),
            .past = static_cast<std::int64_t>(point.at[1])};
  }
};

const bool registered =
    FamilyRegistry::add("layer_decode", [] { return std::make_unique<LayerDecode>(false); }) &&
    FamilyRegistry::add("ranks_decode", [] { return std::make_unique<LayerDecode>(true); });

}  // namespace
}  // namespace v4cap::exec::calibrate
