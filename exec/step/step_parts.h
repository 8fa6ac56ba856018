// What the files of the step runner share and nobody else sees.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "exec/step/step_runner.h"
#include "kernels/cuda/check.h"
#include "sim/core/error.h"

namespace v4cap::exec {

inline constexpr std::int32_t kLeastContext = 4096;  // that graphs are captured for

constexpr std::int32_t divide_up(std::int32_t a, std::int32_t b) {
  return (a + b - 1) / b;
}

// Numbers of a step on their way to the GPU: written into page-locked memory and copied behind each
// other. Nothing is overwritten before the step has ended.
struct StepRunner::Uploads {
  static constexpr std::size_t kBytes = std::size_t{64} << 20;

  explicit Uploads(kernels::Stream s) : stream(s), device(kBytes) {
    V4CAP_CUDA(cudaMallocHost(reinterpret_cast<void**>(&host), kBytes));
  }
  ~Uploads() { cudaFreeHost(host); }
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  template <class T>
  T* add(const std::vector<T>& values) {
    const std::size_t bytes = values.size() * sizeof(T), begin = (used + 255) / 256 * 256;
    V4CAP_CHECK(begin + bytes <= kBytes,
                "a step of " + std::to_string(bytes) + " bytes of numbers");
    char* to = static_cast<char*>(device.get()) + begin;
    if (bytes > 0) {
      std::memcpy(host + begin, values.data(), bytes);
      V4CAP_CUDA(cudaMemcpyAsync(to, host + begin, bytes, cudaMemcpyHostToDevice, stream));
    }
    used = begin + bytes;
    return reinterpret_cast<T*>(to);
  }
  void clear() { used = 0; }

  kernels::Stream stream;
  DeviceMemory device;
  char* host = nullptr;
  std::size_t used = 0;
};

// A batch that is launched layer by layer, with what is copied around each of them.
struct StepRunner::EagerBatch {
  Step step;
  std::int32_t scratch_length = 0;
  std::vector<WindowRange> in, out, saved;
  std::vector<RowSave> rows;
  WindowRange *device_in = nullptr, *device_out = nullptr, *device_saved = nullptr;
  RowSave* device_rows = nullptr;
  std::vector<std::int32_t> emitting, emitting_slots;  // rows, and whose they are
};

}  // namespace v4cap::exec
