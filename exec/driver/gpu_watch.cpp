#include "exec/driver/gpu_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sim/core/quantiles.h"

namespace v4cap::exec {

std::vector<GpuProcess> GpuSeen::others() const {
  const auto shared =
      std::ranges::find_if(readings, [](const GpuReading& r) { return !r.others.empty(); });
  return shared == readings.end() ? std::vector<GpuProcess>{} : shared->others;
}

double GpuSeen::share(std::uint64_t reasons) const {
  if (readings.empty()) return 0;
  const auto under = std::ranges::count_if(
      readings, [&](const GpuReading& r) { return (r.throttle & reasons) != 0; });
  return static_cast<double>(under) / static_cast<double>(readings.size());
}

void write_seen(JsonWriter& json, const GpuSeen& seen) {
  std::vector<double> mhz, watts, celsius;
  for (const GpuReading& r : seen.readings) {
    if (r.sm_mhz > 0) mhz.push_back(r.sm_mhz);
    watts.push_back(r.power_w);
    celsius.push_back(r.temperature_c);
  }
  const Distribution clock = describe(mhz), power = describe(watts), read = describe(seen.read_ms);
  json.begin_object().member("samples", seen.readings.size());
  json.key("sm_mhz").begin_object().member("p10", clock.p10).member("p50", clock.p50);
  json.member("p90", clock.p90).end_object();
  json.key("power_w").begin_object().member("mean", power.mean).member("max", power.max);
  json.end_object();
  json.key("temperature_c").begin_object().member("max", describe(celsius).max).end_object();
  json.member("power_capped_share", seen.share(kPowerCap));
  json.member("slowed_share", seen.share(kSlowdown));
  json.key("read_ms").begin_object().member("mean", read.mean).member("max", read.max);
  json.end_object().end_object();
}

GpuWatch::GpuWatch(std::shared_ptr<GpuMonitor> monitor, std::chrono::microseconds period)
    : monitor_(std::move(monitor)), period_(period) {
  if (monitor_ != nullptr) thread_ = std::thread([this] { watch(); });
}

GpuWatch::~GpuWatch() {
  join();
}

GpuSeen GpuWatch::stop() {
  join();
  return std::move(seen_);
}

void GpuWatch::join() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void GpuWatch::watch() {
  using Clock = std::chrono::steady_clock;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, period_, [&] { return stopped_; })) return;
    }
    if (!in_step_.load(std::memory_order_relaxed)) continue;
    const Clock::time_point begin = Clock::now();
    std::optional<GpuReading> reading = monitor_->read();
    const std::chrono::duration<double, std::milli> took = Clock::now() - begin;
    if (!reading) continue;
    seen_.readings.push_back(std::move(*reading));
    seen_.read_ms.push_back(took.count());
  }
}

}  // namespace v4cap::exec
