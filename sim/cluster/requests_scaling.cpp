// Scaling `requests=N` (32 when left out): as many replicas as have N requests each, running and
// waiting. Kubernetes' autoscaler on a metric per pod does this.
#include <algorithm>
#include <cmath>

#include "sim/cluster/scaling.h"
#include "sim/core/named.h"

namespace v4cap {

namespace {

class RequestsScaling final : public ScalingPolicy {
 public:
  explicit RequestsScaling(double target) : target_(target) {}

  std::size_t wanted(const ClusterLoad& load) override {
    constexpr double kMost = 1e9;  // far above the bounds of any scenario
    return static_cast<std::size_t>(
        std::min(std::ceil(static_cast<double>(load.running + load.waiting) / target_), kMost));
  }

 private:
  double target_;
};

const bool registered = ScalingRegistry::add(
    "requests", [](const std::string& argument) -> std::unique_ptr<ScalingPolicy> {
      const auto numbers = argument.empty() ? std::vector<double>{32} : numbers_of(argument, 1);
      if (numbers.empty() || numbers[0] <= 0) {
        throw InputError(Place{}, "expected requests=N with N above 0, got '" + argument + "'");
      }
      return std::make_unique<RequestsScaling>(numbers[0]);
    });

}  // namespace

}  // namespace v4cap
