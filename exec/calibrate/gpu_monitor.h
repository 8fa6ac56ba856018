// What else happens on the GPU while it is measured.
#pragma once

namespace v4cap::exec::calibrate {

struct GpuState {
  double sm_mhz = 0;          // 0: not known
  bool idle = false;          // the clock is low because nothing runs
  bool power_capped = false;  // the board's power limit holds the clock down
  bool slowed = false;        // by heat or by the hardware (slowdown, power brake)
  int other_processes = 0;    // that compute on this GPU
};

class GpuMonitor {
 public:
  virtual ~GpuMonitor() = default;
  virtual GpuState read() = 0;
};

}  // namespace v4cap::exec::calibrate
