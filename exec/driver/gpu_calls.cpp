#include "exec/driver/gpu_calls.h"

#include <atomic>

#include "exec/driver/gpu_error.h"

namespace v4cap::exec {
namespace {

// Set once at the start, by tests before each case; read by every thread.
std::atomic<GpuCalls*> current{nullptr};
std::atomic<bool> lost{false};

}  // namespace

GpuCalls& gpu_calls() {
  GpuCalls* const calls = current.load();
  V4CAP_CHECK(calls != nullptr, "no calls to a GPU were set");
  return *calls;
}

void set_gpu_calls(GpuCalls* calls) {
  current = calls;
}

bool gpu_is_lost() {
  return lost;
}

void set_gpu_lost(bool is_lost) {
  lost = is_lost;
}

void* allocate_on_gpu(std::size_t bytes, const char* what_for, kernels::Stream stream) {
  GpuCalls& calls = gpu_calls();
  void* memory = nullptr;
  const int code = calls.allocate(&memory, bytes, stream);
  if (code == kCudaSuccess) return memory;
  if (code == kCudaMemoryAllocation) {
    std::int64_t free_bytes = 0, total_bytes = 0;
    calls.memory(&free_bytes, &total_bytes);
    throw out_of_memory(bytes, free_bytes, total_bytes, what_for, calls.text(code));
  }
  // What a kernel did before is often found here.
  if (context_is_gone(code)) set_gpu_lost(true);
  throw cuda_failure(code, std::string("memory for ") + what_for + ": " + calls.text(code));
}

void release_on_gpu(void* memory, kernels::Stream stream) {
  if (memory != nullptr && !gpu_is_lost()) gpu_calls().release(memory, stream);
}

}  // namespace v4cap::exec
