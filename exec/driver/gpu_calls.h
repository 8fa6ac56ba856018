// The few calls through which v4exec learns that something is wrong with the GPU: memory, and
// whether a stream has come to its end. Everything else goes to CUDA directly and fails with a
// CudaError. Behind an interface, so that a test without a GPU can have the n-th of them fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/registry.h"

namespace v4cap::exec {

// Results are CUDA's codes (CudaCode), 0 for success.
class GpuCalls {
 public:
  virtual ~GpuCalls() = default;
  // In the order of a stream, or at once when it is null.
  virtual int allocate(void** memory, std::size_t bytes, kernels::Stream stream) = 0;
  virtual void release(void* memory, kernels::Stream stream) = 0;
  virtual void memory(std::int64_t* free_bytes, std::int64_t* total_bytes) = 0;
  virtual int query(kernels::Stream stream) = 0;  // kCudaNotReady: not yet
  virtual std::string text(int code) = 0;         // "cudaErrorIllegalAddress (an illegal ...)"
};

// CUDA's in v4exec; replaced by tests while a scope lives. It must have been set before the first
// use.
GpuCalls& gpu_calls();
void set_gpu_calls(GpuCalls* calls);

// Memory on the GPU. Throws RunError: out_of_memory that says what for, or what else CUDA reports.
void* allocate_on_gpu(std::size_t bytes, const char* what_for, kernels::Stream stream = nullptr);
// Null is fine. Does nothing once the GPU is lost: CUDA would wait for what hangs.
void release_on_gpu(void* memory, kernels::Stream stream = nullptr);

// Whether a step hung or CUDA reported that the context is gone. What was queued is then left as it
// is, and the process ends without CUDA's clean-up (exec/main.cpp).
bool gpu_is_lost();
void set_gpu_lost(bool lost);

}  // namespace v4cap::exec
