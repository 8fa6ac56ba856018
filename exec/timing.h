// How long a launch takes, by events on the GPU.
//   cold  a large buffer is read before every launch, so that operands come from memory and L2 holds
//         nothing that would have to be written back first
//   warm  launches in a captured graph, back to back, as they would follow each other in a step
// A launch of nothing takes about 2 us by the cold measure and under 1 us by the warm one; both are
// measured in the same run and shown, never subtracted.
#pragma once

#include <functional>
#include <vector>

#include "exec/device.h"
#include "kernels/registry.h"

namespace v4cap::exec {

struct Spread {
  double median_us = 0, p10_us = 0, p90_us = 0;
  int samples = 0;
  double sm_mhz = 0;  // read right after the last sample
};

struct Times {
  Spread cold, warm;
};

class Stopwatch {
 public:
  explicit Stopwatch(const Device& device);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // Keeps the GPU busy, so that its clocks have left idle before the first measurement.
  void warm_up(double seconds);
  // `seconds` of measured time for each of the two, at least 5 samples and at most 50.
  Times measure(const std::function<void(kernels::Stream)>& launch, double seconds);
  // One of the two alone, as many samples.
  Spread measure_cold(const std::function<void(kernels::Stream)>& launch, double seconds);
  Spread measure_warm(const std::function<void(kernels::Stream)>& launch, double seconds);

 private:
  // About how long one launch takes, cold. The first loads modules and fills handles.
  double prepare(const std::function<void(kernels::Stream)>& launch);
  Spread cold(const std::function<void(kernels::Stream)>& launch, int samples);
  Spread warm(const std::function<void(kernels::Stream)>& launch, double one_us, double seconds);

  const Device& device_;
  kernels::Stream stream_ = nullptr;
  DeviceMemory flush_;
};

// Reads all of device memory [data, data + bytes); bytes % 16 == 0.
void read_through(void* data, std::size_t bytes, kernels::Stream stream);

// What this GPU reaches today: the ceilings that rates are held against.
struct Ceilings {
  double copy_bytes_per_s = 0;  // device-to-device copy of 1 GiB, read and written bytes
  double read_bytes_per_s = 0;  // reading 2 GiB
  double bf16_flops_per_s = 0;  // cuBLAS 8192^3, random operands
  double fp8_flops_per_s = 0;   // cuBLASLt 8192^3, e4m3 with one scale a tensor; 0: it has none
  double nothing_cold_us = 0, nothing_warm_us = 0;  // an empty kernel
};
Ceilings measure_ceilings(Stopwatch& stopwatch);

}  // namespace v4cap::exec
