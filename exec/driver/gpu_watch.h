// The GPU's state while steps run: a thread of its own reads the monitor a few times a second. It
// shares a flag with the loop that runs steps, and no lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "exec/driver/gpu_monitor.h"
#include "sim/output/json_writer.h"

namespace v4cap::exec {

// Readings that began while a step ran, in their order.
struct GpuSeen {
  std::vector<GpuReading> readings;
  std::vector<double> read_ms;  // what each of them took

  // The first others that computed on the GPU; none where it was alone.
  std::vector<GpuProcess> others() const;
  // Share of the readings under a throttle reason of `reasons`.
  double share(std::uint64_t reasons) const;
};

// Members samples, sm_mhz {p10, p50, p90}, power_w {mean, max}, temperature_c {max},
// power_capped_share, slowed_share (by heat or the hardware) and read_ms {mean, max}; all 0 without
// samples. Clocks that are not known are left out.
void write_seen(JsonWriter& json, const GpuSeen& seen);

class GpuWatch {
 public:
  static constexpr std::chrono::milliseconds kPeriod{200};

  // Nothing is read where `monitor` is null. Nobody else may read it until stop() or the end.
  explicit GpuWatch(std::shared_ptr<GpuMonitor> monitor,
                    std::chrono::microseconds period = kPeriod);
  ~GpuWatch();
  GpuWatch(const GpuWatch&) = delete;
  GpuWatch& operator=(const GpuWatch&) = delete;

  // By the loop that runs steps, around each of them.
  void step_begins() { in_step_.store(true, std::memory_order_relaxed); }
  void step_ends() { in_step_.store(false, std::memory_order_relaxed); }

  // Ends the thread, after the reading that it is at. Once.
  GpuSeen stop();

 private:
  void watch();
  void join();

  std::shared_ptr<GpuMonitor> monitor_;
  std::chrono::microseconds period_;
  std::atomic<bool> in_step_{false};
  GpuSeen seen_;  // the thread's until it is joined
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // under mutex_
  std::thread thread_;
};

}  // namespace v4cap::exec
