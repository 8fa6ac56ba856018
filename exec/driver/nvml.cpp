#include "exec/driver/nvml.h"

#include <dlfcn.h>
#include <unistd.h>

namespace v4cap::exec {
namespace {

using Handle = void*;
enum { kSmClock = 1, kMemoryClock = 2, kGpuTemperature = 0 };
enum { kSuccess = 0, kInsufficientSize = 7 };

struct MemoryInfo {
  unsigned long long total, free, used;
};
struct ProcessInfo {
  unsigned pid;
  unsigned long long used_bytes;  // all ones: not known
  unsigned gpu_instance, compute_instance;
};

}  // namespace

// Null when there is no library.
template <class Function>
Function* NvmlMonitor::find(const char* name) const {
  if (library_ == nullptr) return nullptr;
  return reinterpret_cast<Function*>(dlsym(library_, name));
}

// The library stays loaded until the process ends: NVML counts its own initialisations.
NvmlMonitor::NvmlMonitor(const std::string& bus, const char* library)
    : library_(dlopen(library, RTLD_NOW)), own_(getpid()) {
  const auto start = find<int()>("nvmlInit_v2");
  if (start == nullptr || start() != kSuccess) {
    library_ = nullptr;
    return;
  }
  const auto get = find<int(const char*, Handle*)>("nvmlDeviceGetHandleByPciBusId_v2");
  if (get == nullptr || get(bus.c_str(), &gpu_) != kSuccess) gpu_ = nullptr;
}

GpuIdentity NvmlMonitor::identity() {
  GpuIdentity out{"unknown", "unknown", "unknown"};
  char text[96] = {};
  const auto driver = find<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  if (driver != nullptr && driver(text, sizeof text) == kSuccess) out.driver = text;
  if (gpu_ == nullptr) return out;
  const auto name = find<int(Handle, char*, unsigned)>("nvmlDeviceGetName");
  if (name != nullptr && name(gpu_, text, sizeof text) == kSuccess) out.name = text;
  const auto uuid = find<int(Handle, char*, unsigned)>("nvmlDeviceGetUUID");
  if (uuid != nullptr && uuid(gpu_, text, sizeof text) == kSuccess) out.uuid = text;
  return out;
}

std::vector<GpuProcess> NvmlMonitor::processes() const {
  const auto get =
      find<int(Handle, unsigned*, ProcessInfo*)>("nvmlDeviceGetComputeRunningProcesses_v3");
  if (get == nullptr || gpu_ == nullptr) return {};
  std::vector<ProcessInfo> found(16);
  auto count = static_cast<unsigned>(found.size());
  int status = get(gpu_, &count, found.data());
  if (status == kInsufficientSize) {  // `count` is what there is; some may come in between
    found.resize(count + 16);
    count = static_cast<unsigned>(found.size());
    status = get(gpu_, &count, found.data());
  }
  if (status != kSuccess) return {};
  std::vector<GpuProcess> out;
  for (unsigned i = 0; i < count; ++i) {
    const bool known = found[i].used_bytes != ~0ull;
    out.push_back({static_cast<pid_t>(found[i].pid),
                   known ? static_cast<std::int64_t>(found[i].used_bytes) : 0});
  }
  return out;
}

std::optional<GpuReading> NvmlMonitor::read() {
  if (gpu_ == nullptr) return {};
  GpuReading out;
  MemoryInfo memory{};
  const auto get_memory = find<int(Handle, MemoryInfo*)>("nvmlDeviceGetMemoryInfo");
  if (get_memory != nullptr && get_memory(gpu_, &memory) == kSuccess) {
    out.total_bytes = static_cast<std::int64_t>(memory.total);
    out.free_bytes = static_cast<std::int64_t>(memory.free);
  }
  const auto number = [&](const char* name, auto... arguments) -> unsigned {
    unsigned value = 0;
    const auto get = find<int(Handle, decltype(arguments)..., unsigned*)>(name);
    return get != nullptr && get(gpu_, arguments..., &value) == kSuccess ? value : 0;
  };
  out.sm_mhz = number("nvmlDeviceGetClockInfo", int{kSmClock});
  out.memory_mhz = number("nvmlDeviceGetClockInfo", int{kMemoryClock});
  out.temperature_c = number("nvmlDeviceGetTemperature", int{kGpuTemperature});
  out.power_w = number("nvmlDeviceGetPowerUsage") / 1000.0;
  // Renamed in driver 535; the old name stays.
  unsigned long long reasons = 0;
  const auto get_reasons =
      find<int(Handle, unsigned long long*)>("nvmlDeviceGetCurrentClocksThrottleReasons");
  if (get_reasons != nullptr && get_reasons(gpu_, &reasons) == kSuccess) out.throttle = reasons;
  for (const GpuProcess& process : processes()) {
    // Ranks of a job: rank 0 has started the others.
    if (process.pid == own_ || process.pid == getppid()) continue;
    if (started_by(process.pid, getpid())) continue;
    out.others.push_back(process);
  }
  return out;
}

}  // namespace v4cap::exec
