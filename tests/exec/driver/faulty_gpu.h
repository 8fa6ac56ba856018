// A GPU for tests that fails when it is told to: the calls and the monitor of exec/driver without a
// GPU behind them.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "exec/driver/gpu_calls.h"
#include "exec/driver/gpu_error.h"
#include "exec/driver/gpu_monitor.h"

namespace v4cap::exec {

// Set as the process's calls while it lives. Errors stick as CUDA's do: once a code that takes the
// context with it was given, every later call gives the same.
class FaultyGpu final : public GpuCalls {
 public:
  FaultyGpu() {
    set_gpu_calls(this);
    set_gpu_lost(false);
  }
  ~FaultyGpu() override {
    set_gpu_calls(nullptr);
    set_gpu_lost(false);
  }

  int fail_allocation = 0, allocation_code = kCudaMemoryAllocation;  // the n-th; 0: none
  int fail_wait = 0, wait_code = kCudaIllegalAddress;
  int hang_at_wait = 0;

  int allocations() const { return allocations_; }
  std::size_t held() const { return held_.size(); }  // allocations that were not released

  int allocate(void** memory, std::size_t bytes, kernels::Stream) override {
    if (stuck_ != 0) return stuck_;
    if (++allocations_ == fail_allocation) return given(allocation_code);
    *memory = reinterpret_cast<void*>(static_cast<std::uintptr_t>(allocations_) * 4096);
    held_.insert(*memory);
    free_ -= static_cast<std::int64_t>(bytes);
    return kCudaSuccess;
  }
  void release(void* memory, kernels::Stream) override { held_.erase(memory); }
  void memory(std::int64_t* free_bytes, std::int64_t* total_bytes) override {
    *free_bytes = free_;
    *total_bytes = std::int64_t{80} << 30;
  }
  // Each wait finds the stream busy once before it ends.
  int query(kernels::Stream) override {
    if (stuck_ != 0) return stuck_;
    busy_ = !busy_;
    if (busy_) {
      ++waits_;
      return kCudaNotReady;
    }
    if (waits_ == hang_at_wait) {
      busy_ = true;
      return kCudaNotReady;
    }
    return waits_ == fail_wait ? given(wait_code) : kCudaSuccess;
  }
  std::string text(int code) override { return "code " + std::to_string(code); }

 private:
  int given(int code) {
    if (context_is_gone(code)) stuck_ = code;
    return code;
  }

  int allocations_ = 0, waits_ = 0, stuck_ = 0;
  bool busy_ = false;
  std::int64_t free_ = std::int64_t{1} << 30;
  std::set<void*> held_;
};

// A healthy H100 unless `change` changes its n-th reading.
class FakeMonitor final : public GpuMonitor {
 public:
  std::string name = "NVIDIA H100 80GB HBM3";
  bool there = true;
  std::function<void(int n, GpuReading& reading)> change = nullptr;

  GpuIdentity identity() override {
    return there ? GpuIdentity{name, "GPU-1", "580.0"}
                 : GpuIdentity{"unknown", "unknown", "unknown"};
  }
  std::optional<GpuReading> read() override {
    if (!there) return {};
    GpuReading reading{.total_bytes = std::int64_t{80} << 30,
                       .free_bytes = std::int64_t{79} << 30,
                       .sm_mhz = 1980,
                       .memory_mhz = 2619,
                       .temperature_c = 45,
                       .power_w = 500};
    if (change) change(++readings_, reading);
    return reading;
  }

 private:
  int readings_ = 0;
};

}  // namespace v4cap::exec
