// A library with NVML's interface, as its reference describes it, and one GPU with many processes.
#include <cstdio>

extern "C" {

struct FakeMemory {
  unsigned long long total, free, used;
};
struct FakeProcess {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

int nvmlInit_v2() {
  return 0;
}
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "580.1");
  return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* bus, void** gpu) {
  static int only;
  if (bus[0] == 'x') return 6;
  *gpu = &only;
  return 0;
}
int nvmlDeviceGetName(void*, char* text, unsigned size) {
  std::snprintf(text, size, "NVIDIA Fake");
  return 0;
}
int nvmlDeviceGetUUID(void*, char* text, unsigned size) {
  std::snprintf(text, size, "GPU-fake");
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, FakeMemory* memory) {
  *memory = {80, 30, 50};
  return 0;
}
int nvmlDeviceGetClockInfo(void*, int which, unsigned* mhz) {
  *mhz = which == 1 ? 1980u : which == 2 ? 2619u : 0u;
  return 0;
}
int nvmlDeviceGetTemperature(void*, int sensor, unsigned* celsius) {
  *celsius = sensor == 0 ? 61u : 0u;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 612500;
  return 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* reasons) {
  *reasons = 0x44;
  return 0;
}
// More than a first guess of 16 has room for.
int nvmlDeviceGetComputeRunningProcesses_v3(void*, unsigned* count, FakeProcess* processes) {
  constexpr unsigned kProcesses = 20;
  const unsigned room = *count;
  *count = kProcesses;
  if (room < kProcesses) return 7;
  for (unsigned i = 0; i < kProcesses; ++i) {
    processes[i] = {100 + i, i == 0 ? ~0ull : 1000ull * i, ~0u, ~0u};
  }
  return 0;
}
}
