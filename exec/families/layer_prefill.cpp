// layer_prefill, ranks_prefill: one whole layer of a step that is launched kernel by kernel, for sequences of equal
// new and past tokens.
#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

class LayerPrefill final : public LayerFamily {
 public:
  using LayerFamily::LayerFamily;

  ProfileFamily describe() const override {
    ProfileFamily f = entry(
        "prefill",
        "whole layers of one kind, the mean of those of steps launched one by one; weights of two "
        "layers in turn; tokens are the new ones of the batch, past those of each sequence");
    f.axes = {{"sequences", "rows"}, {"tokens", "tokens"}, {"past", "tokens"}};
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    if (!has_points(rank)) return {};
    const bool quick = size == GridSize::quick;
    const std::vector<double> counts =
        quick ? std::vector<double>{1, 4, 16} : std::vector<double>{1, 2, 4, 16, 64};
    // Fine where it is one sequence, which is the most frequent case.
    const std::vector<double> coarse{16, 64, 256, 1024, 2048, 4096, 8192};
    const std::vector<double> fine{1,   16,   32,   64,   128,  192,  256,  384, 512,
                                   768, 1024, 1536, 2048, 3072, 4096, 6144, 8192};
    const std::vector<double> pasts =
        quick ? std::vector<double>{0, 8192, 65536, 524288}
              : std::vector<double>{0, 2048, 8192, 32768, 65536, 131072, 524288};
    std::vector<Point> all;
    for (const double count : counts) {
      for (const double together : quick || count > 1 ? coarse : fine) {
        if (together < count) continue;
        for (const double past : pasts) {
          if (past + together / count > RankBench::kMaxContext || count * past > 2.2e6) continue;
          if (past > 131072 && together > 2048) continue;
          if (count > 1 && past > 0 && past < 8192) continue;
          for (const std::string& kind : layer_kinds(rank.model)) {
            auto keys = rank_keys(rank);
            keys.push_back(kind);
            all.push_back({keys, {count, together, past}});
          }
        }
      }
    }
    return all;
  }

 private:
  LayerTask task_of(const Point& point) const override {
    return {.what = LayerTask::What::prefill,
            .sequences = static_cast<std::int64_t>(point.at[0]),
            .tokens = static_cast<std::int64_t>(point.at[1]),
            .past = static_cast<std::int64_t>(point.at[2])};
  }
};

const bool registered =
    FamilyRegistry::add("layer_prefill", [] { return std::make_unique<LayerPrefill>(false); }) &&
    FamilyRegistry::add("ranks_prefill", [] { return std::make_unique<LayerPrefill>(true); });

}  // namespace
}  // namespace v4cap::exec::calibrate
