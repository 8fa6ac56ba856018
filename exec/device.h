// The GPU of this process: what it is, and memory on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exec/driver/gpu_monitor.h"
#include "kernels/registry.h"
#include "sim/core/error.h"

namespace v4cap::exec {

struct Device {
  int index = 0;
  std::string name;
  std::string uuid;          // "GPU-6b5f..."
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  std::string driver;        // "580.159.04", or "unknown"
  std::string cuda_runtime;  // "13.0"
  double sm_clock_max_mhz = 0;
  double memory_bytes_per_s_nominal = 0;  // memory clock x 2 x bus width
  std::shared_ptr<GpuMonitor> monitor;    // never null after find_device
};

// What a GPU is, without taking memory on it. InputError when there is none, no such index, or one
// that the kernels are not built for (exec/driver/find_gpu.h).
Device find_device(int index);
// The same, and makes it the current one.
Device open_device(int index);

// What the GPU does right now; zeros where its monitor does not answer.
struct Clocks {
  double sm_mhz = 0, memory_mhz = 0, power_w = 0, temperature_c = 0;
};
Clocks read_clocks(const Device& device);

// Which copy of an operand a pointer leads to.
enum class Side : std::uint8_t { host, device };

// While one lives, DeviceMemory of this thread is host memory that the GPU maps: slow, but the same
// pointer leads to it on both sides, so that references can read what kernels are given.
class MappedMemoryScope {
 public:
  MappedMemoryScope();
  ~MappedMemoryScope();
  MappedMemoryScope(const MappedMemoryScope&) = delete;
  MappedMemoryScope& operator=(const MappedMemoryScope&) = delete;

 private:
  bool outer_;
};

// Device memory. Running out says how much was asked for what and how much is free (RunError of
// kind "out_of_memory").
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes, const char* what_for = "operands");
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept
      : pointer_(std::exchange(other.pointer_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        mapped_(other.mapped_) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  void* get() const { return pointer_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* pointer_ = nullptr;
  std::size_t bytes_ = 0;
  bool mapped_ = false;
};

void copy_to_device(void* device, const void* host, std::size_t bytes);
void copy_to_host(void* host, const void* device, std::size_t bytes);

// Fills with 0x7f: a huge number in bf16 and float, NaN in e4m3, an impossible index. What a kernel
// forgets to write is then found by the comparison.
void poison(void* device, std::size_t bytes);

// An operand on both sides. The host's copy is fetched when it is first asked for, and again after
// the device's has changed (`touched`).
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t count)
      : memory_(static_cast<std::size_t>(count) * sizeof(T)), count_(count) {}
  explicit Buffer(std::vector<T> values) : Buffer(static_cast<std::int64_t>(values.size())) {
    upload(std::move(values));
  }

  void upload(std::vector<T> values) {
    host_ = std::move(values);
    copy_to_device(memory_.get(), host_.data(), host_.size() * sizeof(T));
    fetched_ = true;
  }
  std::int64_t size() const { return count_; }
  T* device() const { return static_cast<T*>(memory_.get()); }
  const std::vector<T>& host() {
    if (!fetched_) {
      host_.resize(static_cast<std::size_t>(count_));
      copy_to_host(host_.data(), memory_.get(), host_.size() * sizeof(T));
      fetched_ = true;
    }
    return host_;
  }
  void touched() { fetched_ = false; }  // a kernel has written it
  void poison() {
    exec::poison(memory_.get(), memory_.bytes());
    touched();
  }
  // The pointer that belongs to a side. A reference must not write through the host's.
  T* at(Side side) {
    if (side == Side::device) return device();
    host();
    return host_.data();
  }

 private:
  DeviceMemory memory_;
  std::int64_t count_ = 0;
  std::vector<T> host_;
  bool fetched_ = false;
};

}  // namespace v4cap::exec
