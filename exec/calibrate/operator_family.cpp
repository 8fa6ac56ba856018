#include "exec/calibrate/operator_family.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <optional>

#include "exec/device.h"
#include "exec/driver/gpu_error.h"
#include "exec/timing.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec::calibrate {
namespace {

class OperatorFamily : public Family {
 public:
  explicit OperatorFamily(const OperatorGrid& grid) : grid_(grid) {}

  ProfileFamily describe() const override {
    ProfileFamily f;
    f.name = grid_.name;
    f.grain = ProfileGrain::kernel;
    f.kernel_source = "v4cap, the preferred version for each shape";
    f.keys = {"l2"};
    f.keys.insert(f.keys.end(), grid_.keys.begin(), grid_.keys.end());
    f.axes = grid_.axes;
    f.covers = grid_.covers;
    f.note = grid_.note;
    return f;
  }

  std::vector<Point> points(const Rank& rank, GridSize size) const override {
    std::vector<Point> out;
    for (const Point& point : grid_.points(rank, size)) {
      for (const char* l2 : {"cold", "warm"}) {
        out.push_back(point);
        out.back().keys.insert(out.back().keys.begin(), l2);
      }
    }
    return out;
  }

  Measurement measure(MeasureContext& context, const Point& point) override {
    try {
      const bool cold = point.keys.front() == "cold";
      Point inner = point;
      inner.keys.erase(inner.keys.begin());
      if (inner != made_) set_up(context, inner);
      const auto launch = [&](kernels::Stream stream) { operands_->launch(version_, stream); };
      const Spread s = cold ? context.stopwatch->measure_cold(launch, context.seconds)
                            : context.stopwatch->measure_warm(launch, context.seconds);
      return {s.median_us, s.p10_us, s.p90_us, s.samples, s.sm_mhz};
    } catch (const RunError& error) {
      if (error.kind() != error_kind::kOutOfMemory) throw;
      operands_.reset();
      made_.reset();
      throw PointRefused(error_kind::kOutOfMemory, error.what());
    }
  }

  FamilyCost cost() const override { return grid_.cost; }

 private:
  void set_up(const MeasureContext& context, const Point& point) {
    made_.reset();
    operands_.reset();  // before the next takes memory
    operands_ = grid_.make(context.rank, point);
    const auto versions = operands_->versions(*context.device);
    const auto found = std::ranges::find_if(
        versions, [](const VersionInfo& v) { return v.usable && v.refusal.empty(); });
    if (found == versions.end()) {
      throw PointRefused("no_version", grid_.name + ": no usable version takes this shape");
    }
    version_ = static_cast<std::size_t>(found - versions.begin());
    operands_->reset();
    V4CAP_CUDA(cudaDeviceSynchronize());  // operands are made on another stream
    made_ = point;
  }

  const OperatorGrid& grid_;  // lives as long as the registry
  std::optional<Point> made_;
  std::unique_ptr<Case> operands_;
  std::size_t version_ = 0;
};

}  // namespace

RegisterGrid::RegisterGrid(OperatorGrid grid) {
  const auto shared = std::make_shared<const OperatorGrid>(std::move(grid));
  FamilyRegistry::add(shared->name, [shared] { return std::make_unique<OperatorFamily>(*shared); });
}

}  // namespace v4cap::exec::calibrate
