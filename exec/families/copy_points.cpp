// copy_points: kept points copied out of running slots, all layers of a point in one launch.
#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr int kCounts[] = {1, 2, 4, 8, 16, 32, 64};

// Bytes of one point: its windows and compressor rows.
double point_bytes(const Rank& rank) {
  const exec::Rank share = make_rank(rank.model, rank.tp, rank.ep);
  PoolSizes one, two;
  one.points = 1;
  two.points = 2;
  return static_cast<double>(pool_bytes(share, two).points - pool_bytes(share, one).points);
}

class CopyPoints final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "copy_points";
    f.grain = ProfileGrain::module;
    f.kernel_source = "v4exec";
    f.keys = {"model", "tp"};
    f.axes = {{"bytes", "bytes"}};
    f.covers = {"copies"};
    f.note = "windows and compressor rows of whole points from slots to where they are kept";
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize) const override {
    std::vector<Point> all;
    auto keys = rank_keys(rank);
    keys.pop_back();
    for (const int count : kCounts) all.push_back({keys, {count * point_bytes(rank)}});
    return all;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto count = static_cast<std::int32_t>(point.at[0] / point_bytes(context.rank) + 0.5);
    std::vector<StepRunner::SlotSave> saves;
    for (std::int32_t i = 0; i < count; ++i) saves.push_back({i, 1024, i});
    return b.time([&] { b.runner().save_points(saves); }, context.seconds);
  }
};

const bool registered =
    FamilyRegistry::add("copy_points", [] { return std::make_unique<CopyPoints>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
