// Scaling `queue=MOST,LEAST` (4,8 when left out): one replica more when more than MOST requests wait
// for each that is up, one fewer when nothing waits and fewer than LEAST run on each.
#include "sim/cluster/scaling.h"
#include "sim/core/named.h"

namespace v4cap {

namespace {

class QueueScaling final : public ScalingPolicy {
 public:
  QueueScaling(double most, double least) : most_(most), least_(least) {}

  std::size_t wanted(const ClusterLoad& load) override {
    const std::size_t there = load.up + load.starting;
    const auto up = static_cast<double>(load.up);
    // Those that start already are the answer to a queue that is there already.
    if (static_cast<double>(load.waiting) > most_ * static_cast<double>(there)) return there + 1;
    const bool idle = load.waiting == 0 && static_cast<double>(load.running) < least_ * up;
    return idle && there > 0 ? there - 1 : there;
  }

 private:
  double most_, least_;
};

const bool registered = ScalingRegistry::add(
    "queue", [](const std::string& argument) -> std::unique_ptr<ScalingPolicy> {
      const auto numbers = argument.empty() ? std::vector<double>{4, 8} : numbers_of(argument, 2);
      if (numbers.empty() || numbers[0] <= 0 || numbers[1] < 0) {
        throw InputError(Place{},
                         "expected queue=MOST,LEAST with MOST above 0 and LEAST at least 0, got '" +
                             argument + "'");
      }
      return std::make_unique<QueueScaling>(numbers[0], numbers[1]);
    });

}  // namespace

}  // namespace v4cap
