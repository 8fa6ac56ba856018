// The monitor over NVML, which comes with the driver. Its header does not come with every toolkit:
// what is used of its stable interface is declared in nvml.cpp and looked up at run time. Without
// it everything is unknown, and nothing fails.
#pragma once

#include <memory>
#include <string>

#include "exec/driver/gpu_monitor.h"

namespace v4cap::exec {

class NvmlMonitor : public GpuMonitor {
 public:
  // `bus`: PCI bus id as cudaDeviceGetPCIBusId gives it. `library`: of NVML.
  explicit NvmlMonitor(const std::string& bus, const char* library = "libnvidia-ml.so.1");

  GpuIdentity identity() override;
  std::optional<GpuReading> read() override;

  std::vector<GpuProcess> processes() const override;
  void own_is(pid_t pid) override { own_ = pid; }

 private:
  template <class Function>
  Function* find(const char* name) const;

  void* library_ = nullptr;  // null: none
  void* gpu_ = nullptr;      // null: NVML does not know it
  pid_t own_ = 0;
};

}  // namespace v4cap::exec
