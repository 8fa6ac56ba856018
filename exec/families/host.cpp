// host: what a step waits for beside its kernels. No family of the profile: assembled into its
// `host` (exec/calibrate/assemble.h), the median over the points of each figure.
//   graph_step   a whole captured step by the clock of the host, less its graph on a busy GPU
//   eager_layer  the host's time to launch one layer
//   eager_step   its time to launch a step of no layers
#include <algorithm>

#include "exec/calibrate/rank_bench.h"

namespace v4cap::exec::calibrate {
namespace {

constexpr std::int32_t kPast = 2047;
constexpr double kEventResolutionUs = 0.5;

// A difference of two times, which noise may put below nothing: a step waits no shorter than events can tell.
Measurement at_least_resolved(Measurement time) {
  time.p10_us = std::max(time.p10_us, kEventResolutionUs);
  time.median_us = std::max(time.median_us, kEventResolutionUs);
  time.p90_us = std::max(time.p90_us, kEventResolutionUs);
  return time;
}

class Host final : public StepFamily {
 public:
  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = "host";
    f.grain = ProfileGrain::module;
    f.kernel_source = "v4exec";
    f.keys = {"part"};
    f.axes = {{"batch", "rows"}};
    f.covers = {"host"};
    f.note = "host time of steps";
    return f;
  }

  std::vector<Point> points(const Rank&, GridSize) const override {
    return {{{"graph_step"}, {1}},  {{"graph_step"}, {8}},  {{"graph_step"}, {32}},
            {{"eager_layer"}, {1}}, {{"eager_layer"}, {4}}, {{"eager_step"}, {1}}};
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    RankBench& b = bench(context);
    const auto batch = static_cast<std::int64_t>(point.at[0]);
    if (point.keys.front() == "graph_step") {
      return at_least_resolved(b.time_around_decode(b.sequences(batch, kPast, 1)));
    }
    StepRunner& runner = b.runner();
    const auto sequences = b.sequences(batch, kPast, 2);
    // Launching alone: the GPU works behind.
    const auto launch_us = [&](int layers) {
      StepRunner::Part part;
      for (int l = 0; l < layers; ++l) part.layers.push_back(l);
      return b.launched([&] { runner.prefill_part(sequences, part); }, context.seconds);
    };
    if (point.keys.front() == "eager_step") return launch_us(0);
    constexpr int kFew = 2, kMany = 14;  // launches of so many wait for nothing
    const Measurement few = launch_us(kFew);
    Measurement many = launch_us(kMany);
    many.median_us = (many.median_us - few.median_us) / (kMany - kFew);
    many.p10_us = many.p90_us = many.median_us;
    return many;
  }
};

const bool registered = FamilyRegistry::add("host", [] { return std::make_unique<Host>(); });

}  // namespace
}  // namespace v4cap::exec::calibrate
