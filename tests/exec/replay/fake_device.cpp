// In place of a GPU: a device by name only (V4CAP_FAKE_NAME), whose steps take random times of some
// microseconds on the real clock, or V4CAP_FAKE_STEP_US. V4CAP_FAKE_FAILS_AT lets it be lost at a
// step, V4CAP_FAKE_THROWS_AT throws what only its program can explain. From the n-th time that its monitor is read, somebody else computes on it
// (V4CAP_FAKE_SHARED_AT) or heat slows it down (V4CAP_FAKE_SLOWED_AT).
#include <boost/random/uniform_int_distribution.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>

#include "exec/driver/gpu_error.h"
#include "exec/replay/device_performer.h"
#include "exec/replay/replay_clock.h"
#include "sim/core/random.h"

namespace v4cap::exec {

namespace {

// 0: not set.
int number_of(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? 0 : std::atoi(text);
}

class FakeDevicePerformer final : public StepPerformer {
 public:
  void perform(const StepPlan&) override {
    const char* const fails_at = std::getenv("V4CAP_FAKE_FAILS_AT");
    if (fails_at != nullptr && steps_ == std::atoi(fails_at)) {
      throw cuda_failure(kCudaEccUncorrectable, "step");
    }
    const char* const throws_at = std::getenv("V4CAP_FAKE_THROWS_AT");
    if (throws_at != nullptr && steps_ == std::atoi(throws_at)) {
      throw std::runtime_error("fake code 214");
    }
    ++steps_;
    SteadyClock clock;
    const Duration random{
        boost::random::uniform_int_distribution<std::int64_t>(1'000, 50'000)(random_)};
    const int set_us = number_of("V4CAP_FAKE_STEP_US");
    const Duration until =
        clock.now() + (set_us > 0 ? Duration{std::chrono::microseconds{set_us}} : random);
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
    GpuReading reading{.sm_mhz = 1980, .temperature_c = 45, .power_w = 500};
    ++readings_;
    const auto since = [&](const char* variable) {
      const int at = number_of(variable);
      return at > 0 && readings_ >= at;
    };
    if (since("V4CAP_FAKE_SHARED_AT")) {
      reading.others = {{.pid = 4711, .memory_bytes = std::int64_t{3} << 30}};
    }
    if (since("V4CAP_FAKE_SLOWED_AT")) {
      reading.sm_mhz = 1200;
      reading.throttle = kHwThermal;
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
  const char* const name = std::getenv("V4CAP_FAKE_NAME");
  device.name = name == nullptr ? "fake GPU" : name;
  device.major = 9;
  device.driver = "1.2.3";
  device.cuda_runtime = "13.0";
  device.monitor = std::make_shared<FakeMonitor>();
  return device;
}

Clocks read_clocks(const Device&) {
  return {.sm_mhz = 1980, .memory_mhz = 2619};
}

std::unique_ptr<StepPerformer> make_device_performer(const Scenario&, Replica&, const Device&,
                                                     const RankOfRun&) {
  return std::make_unique<FakeDevicePerformer>();
}

std::string new_run_id() {
  return "fake";
}

}  // namespace v4cap::exec
