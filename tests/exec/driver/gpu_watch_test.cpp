// The thread that reads the GPU's state while steps run: what it counts, that nobody waits for it,
// and that it ends with its owner.
#include "exec/driver/gpu_watch.h"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>

namespace v4cap::exec {
namespace {

using std::chrono::milliseconds;

// Counts its readings, which are numbered by their clock; `during` runs inside of each.
class CountingMonitor final : public GpuMonitor {
 public:
  std::function<void()> during = nullptr;
  std::atomic<int> begun{0}, ended{0};
  std::atomic<bool> answers{true};

  GpuIdentity identity() override { return {}; }
  std::optional<GpuReading> read() override {
    const int n = ++begun;
    if (during) during();
    ++ended;
    if (!answers) return {};
    return GpuReading{.sm_mhz = static_cast<double>(n)};
  }

  void wait_for(int n) const {
    while (begun < n) std::this_thread::sleep_for(milliseconds(1));
  }
};

TEST_CASE("gpu watch: only what is read while a step runs counts") {
  const auto monitor = std::make_shared<CountingMonitor>();
  GpuWatch watch(monitor, milliseconds(1));
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(monitor->begun == 0);
  watch.step_begins();
  monitor->wait_for(5);
  watch.step_ends();
  const GpuSeen seen = watch.stop();
  REQUIRE(static_cast<int>(seen.readings.size()) == monitor->ended);
  REQUIRE(seen.read_ms.size() == seen.readings.size());
  for (std::size_t i = 0; i < seen.readings.size(); ++i) {
    CHECK(seen.readings[i].sm_mhz == static_cast<double>(i + 1));
    CHECK(seen.read_ms[i] >= 0);
  }
}

TEST_CASE("gpu watch: steps do not wait for a reading, the end does") {
  const auto monitor = std::make_shared<CountingMonitor>();
  std::atomic<bool> released{false};
  monitor->during = [&] {
    while (!released) std::this_thread::sleep_for(milliseconds(1));
  };
  GpuWatch watch(monitor, milliseconds(1));
  watch.step_begins();
  monitor->wait_for(1);
  for (int step = 0; step < 1000; ++step) {  // would never end behind a lock
    watch.step_ends();
    watch.step_begins();
  }
  CHECK(monitor->ended == 0);
  std::thread release([&] {
    std::this_thread::sleep_for(milliseconds(20));
    released = true;
  });
  const GpuSeen seen = watch.stop();
  CHECK(monitor->ended == 1);
  REQUIRE(seen.readings.size() == 1);
  CHECK(seen.read_ms[0] >= 10);
  release.join();
}

TEST_CASE("gpu watch: nothing is read any more when its owner is gone, however that came") {
  const auto monitor = std::make_shared<CountingMonitor>();
  CHECK_THROWS_AS(
      [&] {
        GpuWatch watch(monitor, milliseconds(1));
        watch.step_begins();
        monitor->wait_for(3);
        throw std::runtime_error("the GPU is lost");  // in mid-step
      }(),
      std::runtime_error);
  CHECK(monitor.use_count() == 1);
  const int begun = monitor->begun;
  CHECK(monitor->ended == begun);
  std::this_thread::sleep_for(milliseconds(10));
  CHECK(monitor->begun == begun);
}

TEST_CASE(
    "gpu watch: a GPU without a monitor, or with one that does not answer, gives no samples") {
  GpuWatch none(nullptr, milliseconds(1));
  none.step_begins();
  CHECK(none.stop().readings.empty());

  const auto silent = std::make_shared<CountingMonitor>();
  silent->answers = false;
  GpuWatch watch(silent, milliseconds(1));
  watch.step_begins();
  silent->wait_for(3);
  const GpuSeen seen = watch.stop();
  CHECK(seen.readings.empty());
  CHECK(seen.read_ms.empty());
  JsonWriter json;
  write_seen(json, seen);
  CHECK(boost::json::parse(json.text()).at("samples").as_int64() == 0);
}

TEST_CASE("gpu watch: readings add up to quantiles, extremes and shares") {
  GpuSeen seen;
  for (int i = 0; i <= 10; ++i) {
    GpuReading reading{.sm_mhz = 1000.0 + i, .temperature_c = 40.0 + i, .power_w = 500.0 + i};
    if (i < 3) reading.throttle = kPowerCap;
    if (i == 4) reading.throttle = kPowerCap | kHwThermal;
    if (i == 7) reading.others = {{.pid = 4711}};
    if (i == 9) reading.others = {{.pid = 4712}};
    seen.readings.push_back(reading);
    seen.read_ms.push_back(i == 5 ? 12 : 1);
  }
  seen.readings.push_back({.power_w = 505});  // its clock is not known
  seen.read_ms.push_back(1);
  JsonWriter json;
  write_seen(json, seen);
  const boost::json::value written = boost::json::parse(json.text());
  const auto number = [&](const char* path) {
    return written.at_pointer(path).to_number<double>();
  };
  CHECK(number("/samples") == 12);
  CHECK(number("/sm_mhz/p10") == doctest::Approx(1001));
  CHECK(number("/sm_mhz/p50") == doctest::Approx(1005));
  CHECK(number("/sm_mhz/p90") == doctest::Approx(1009));
  CHECK(number("/power_w/mean") == doctest::Approx(505));
  CHECK(number("/power_w/max") == 510);
  CHECK(number("/temperature_c/max") == 50);
  CHECK(number("/power_capped_share") == doctest::Approx(4.0 / 12));
  CHECK(number("/slowed_share") == doctest::Approx(1.0 / 12));
  CHECK(number("/read_ms/mean") == doctest::Approx(23.0 / 12));
  CHECK(number("/read_ms/max") == 12);
  REQUIRE(seen.others().size() == 1);
  CHECK(seen.others()[0].pid == 4711);
}

}  // namespace
}  // namespace v4cap::exec
