#include "exec/driver/wait.h"

#include <chrono>
#include <string>
#include <thread>

#include "exec/driver/gpu_calls.h"
#include "exec/driver/gpu_error.h"

namespace v4cap::exec {

void wait_for(kernels::Stream stream, std::string_view step, double limit_s) {
  GpuCalls& calls = gpu_calls();
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const int code = calls.query(stream);
    if (code == kCudaSuccess) return;
    if (code != kCudaNotReady) {
      if (context_is_gone(code)) set_gpu_lost(true);
      throw cuda_failure(code, std::string(step) + ": " + calls.text(code));
    }
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    if (waited.count() > limit_s) {
      set_gpu_lost(true);
      throw timed_out(std::string(step), limit_s);
    }
    if (waited > std::chrono::milliseconds(20)) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

}  // namespace v4cap::exec
