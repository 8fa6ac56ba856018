// In place of a GPU: a device by name only, whose steps take random times of some microseconds on
// the real clock. V4CAP_FAKE_FAILS_AT lets it be lost at a step; somebody else computes on it from
// the V4CAP_FAKE_SHARED_AT-th time that it is asked who does.
#include <boost/random/uniform_int_distribution.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>

#include "exec/replay/device_performer.h"
#include "exec/replay/replay_clock.h"
#include "sim/core/random.h"

namespace v4cap::exec {

namespace {

class FakeDevicePerformer final : public StepPerformer {
 public:
  void perform(const StepPlan&) override {
    const char* const fails_at = std::getenv("V4CAP_FAKE_FAILS_AT");
    if (fails_at != nullptr && steps_ == std::atoi(fails_at)) throw RunError("the GPU is lost");
    ++steps_;
    SteadyClock clock;
    const Duration until =
        clock.now() +
        Duration{boost::random::uniform_int_distribution<std::int64_t>(1'000, 50'000)(random_)};
    while (clock.now() < until) continue;
  }

 private:
  RandomEngine random_ = RandomStreams(1).stream("fake device");
  int steps_ = 0;
};

class FakeMonitor final : public GpuMonitor {
 public:
  GpuIdentity identity() override { return {"fake GPU", "GPU-0", "1.2.3"}; }
  std::optional<GpuReading> read() override {
    GpuReading reading;
    const char* const shared_at = std::getenv("V4CAP_FAKE_SHARED_AT");
    if (shared_at != nullptr && ++readings_ >= std::atoi(shared_at)) {
      reading.others = {{.pid = 4711, .memory_bytes = std::int64_t{3} << 30}};
    }
    return reading;
  }

 private:
  int readings_ = 0;
};

}  // namespace

Device open_device(int index) {
  Device device;
  device.index = index;
  device.name = "fake GPU";
  device.major = 9;
  device.driver = "1.2.3";
  device.cuda_runtime = "13.0";
  device.monitor = std::make_shared<FakeMonitor>();
  return device;
}

Clocks read_clocks(const Device&) {
  return {.sm_mhz = 1980, .memory_mhz = 2619};
}

std::unique_ptr<StepPerformer> make_device_performer(const Scenario&, Replica&, const Device&) {
  return std::make_unique<FakeDevicePerformer>();
}

}  // namespace v4cap::exec
