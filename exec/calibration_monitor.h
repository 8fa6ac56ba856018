// What the GPU's monitor says, as a calibration judges it.
#pragma once

#include <memory>

#include "exec/calibrate/gpu_monitor.h"
#include "exec/device.h"
#include "exec/driver/gpu_monitor.h"

namespace v4cap::exec {

// Where nothing answers, nothing is known: no clock, nobody else.
class CalibrationMonitor : public calibrate::GpuMonitor {
 public:
  explicit CalibrationMonitor(const Device& device) : monitor_(device.monitor) {}

  calibrate::GpuState read() override {
    const GpuReading now = monitor_->read().value_or(GpuReading{});
    return {.sm_mhz = now.sm_mhz,
            .idle = (now.throttle & kIdle) != 0,
            .power_capped = (now.throttle & kPowerCap) != 0,
            .slowed = (now.throttle & kSlowdown) != 0,
            .other_processes = static_cast<int>(now.others.size())};
  }

 private:
  std::shared_ptr<exec::GpuMonitor> monitor_;
};

}  // namespace v4cap::exec
