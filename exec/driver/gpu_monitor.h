// What else happens on the GPU while v4exec uses it: its clocks, what holds them down, its memory,
// and who else computes on it. An interface, so that tests can make a GPU slow, shared or silent.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace v4cap::exec {

struct GpuIdentity {
  std::string name;    // "NVIDIA H100 80GB HBM3"
  std::string uuid;    // "GPU-..."
  std::string driver;  // "580.159.04"
};

// A process that computes on the GPU.
struct GpuProcess {
  pid_t pid = 0;
  std::int64_t memory_bytes = 0;  // 0: the driver does not say
};

// Why clocks are below their maximum, in NVML's bits (NVML API Reference, clocks event reasons).
enum ThrottleReason : std::uint64_t {
  kIdle = 0x1,
  kSetClocks = 0x2,  // application or locked clocks
  kPowerCap = 0x4,
  kHwSlowdown = 0x8,
  kSyncBoost = 0x10,
  kSwThermal = 0x20,
  kHwThermal = 0x40,
  kPowerBrake = 0x80,
  kDisplay = 0x100,
};
// Heat or the hardware holds the clock down: what is timed then is not this GPU.
inline constexpr std::uint64_t kSlowdown = kHwSlowdown | kSwThermal | kHwThermal | kPowerBrake;

// "power cap, thermal slowdown"; "" for none.
std::string throttle_text(std::uint64_t reasons);

// One look at the GPU; 0 where the driver does not answer.
struct GpuReading {
  std::int64_t total_bytes = 0, free_bytes = 0;
  double sm_mhz = 0, memory_mhz = 0;
  double temperature_c = 0, power_w = 0;
  std::uint64_t throttle = 0;           // ThrottleReason
  std::vector<GpuProcess> others = {};  // that compute here, without this process
};

class GpuMonitor {
 public:
  virtual ~GpuMonitor() = default;
  virtual GpuIdentity identity() = 0;            // "unknown" where nothing answers
  virtual std::optional<GpuReading> read() = 0;  // nothing: no monitor on this machine
  // All that compute on the GPU, this process among them.
  virtual std::vector<GpuProcess> processes() const { return {}; }
  // Which of them is this process (own_process); it is then not among the others of a reading.
  virtual void own_is(pid_t) {}
};

// Which of the processes on the GPU is this one. In a container the driver may number processes
// otherwise than getpid(): then it is the one that appeared when this process made its context.
// 0: not to be told.
pid_t own_process(const std::vector<GpuProcess>& before, const std::vector<GpuProcess>& after,
                  pid_t pid);

// Whether process `pid` was started by `parent`, as /proc says; false where that says nothing. Ranks
// of a job map each other's memory, so that one may count as computing on another's GPU.
bool started_by(pid_t pid, pid_t parent);

}  // namespace v4cap::exec
