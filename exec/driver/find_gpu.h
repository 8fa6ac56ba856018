// What stands in the way of a GPU that v4exec can use, in words: no driver, one that is too old, no
// device, a device that is too old. Plain C++; exec/device.cpp asks CUDA and hands over the answers.
#pragma once

#include <string>

#include "sim/core/error.h"

namespace v4cap::exec {

// What CUDA said when it was asked for GPUs.
struct DriverAnswer {
  int driver_version = 0;    // CUDA version that the driver takes, 13000 for 13.0; 0: no driver
  int runtime_version = 0;   // that v4exec was built with
  std::string refusal = {};  // the error that came instead of a number of GPUs, "" for none
  int gpus = 0;
  std::string visible_devices = {};  // CUDA_VISIBLE_DEVICES, "" when not set
};

// Of kind "no_driver", "driver_too_old" or "no_gpu", when there is no GPU or an error instead of
// their number.
InputError missing_gpu(const DriverAnswer& answer);

// A GPU as CUDA describes it.
struct GpuTraits {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;        // compute capability
  int shared_bytes_per_block = 0;  // that a thread block may ask for
};

// Refuses a GPU that the kernels are not built for: InputError of kind "unsupported_gpu".
void check_supported(const GpuTraits& gpu);

}  // namespace v4cap::exec
