#include "exec/driver/gpu_error.h"

#include <fmt/format.h>

#include <cstring>

namespace v4cap::exec {
namespace {

std::string gib(std::int64_t bytes) {
  return fmt::format("{:.3f} GiB", static_cast<double>(bytes) / (std::int64_t{1} << 30));
}

constexpr const char* kAttention =
    "; this process cannot go on with it, and the GPU may need attention (nvidia-smi -q, and Xid "
    "lines of dmesg)";

}  // namespace

bool context_is_gone(int code) {
  switch (code) {
    case kCudaDevicesUnavailable:
    case kCudaEccUncorrectable:
    case kCudaNvlinkUncorrectable:
    case kCudaContained:
    case kCudaIllegalAddress:
    case kCudaLaunchTimeout:
    case kCudaContextIsDestroyed:
    case kCudaAssert:
    case kCudaHardwareStackError:
    case kCudaIllegalInstruction:
    case kCudaMisalignedAddress:
    case kCudaInvalidAddressSpace:
    case kCudaInvalidPc:
    case kCudaLaunchFailure:
    case kCudaUnknown:
      return true;
    default:
      return false;
  }
}

RunError cuda_failure(int code, const std::string& message) {
  const std::vector<ErrorDetail> details{{"cuda_error", std::int64_t{code}}};
  switch (code) {
    case kCudaMemoryAllocation:
      return {"out of GPU memory: " + message, error_kind::kOutOfMemory, details};
    case kCudaInsufficientDriver:
      return {"the driver is too old for this build's CUDA: " + message, error_kind::kDriverTooOld,
              details};
    case kCudaNoKernelImageForDevice:
    case kCudaUnsupportedPtxVersion:
      return {"no kernel of this build runs on the GPU: " + message, error_kind::kUnsupportedGpu,
              details};
    case kCudaIllegalAddress:
    case kCudaLaunchTimeout:
    case kCudaAssert:
    case kCudaIllegalInstruction:
    case kCudaMisalignedAddress:
    case kCudaInvalidAddressSpace:
    case kCudaInvalidPc:
      return {"a kernel failed: " + message +
                  "; the kernel may have been launched before this call, and every later call of "
                  "this process fails",
              error_kind::kKernelFault, details};
    default:
      break;
  }
  if (context_is_gone(code)) {
    return {"the GPU is lost: " + message + kAttention, error_kind::kDeviceLost, details};
  }
  return {message, error_kind::kCuda, details};
}

RunError out_of_memory(std::size_t asked_bytes, std::int64_t free_bytes, std::int64_t total_bytes,
                       const std::string& what_for, const std::string& reason) {
  const auto asked = static_cast<std::int64_t>(asked_bytes);
  return {fmt::format("out of GPU memory: asked for {} for {}, {} of {} are free ({})", gib(asked),
                      what_for, gib(free_bytes), gib(total_bytes), reason),
          error_kind::kOutOfMemory,
          {{"what_for", what_for},
           {"asked_bytes", asked},
           {"free_bytes", free_bytes},
           {"total_bytes", total_bytes}}};
}

RunError busy_gpu(const std::vector<GpuProcess>& others, const std::string& doing) {
  std::string list;
  std::int64_t bytes = 0;
  for (const GpuProcess& other : others) {
    list += fmt::format("{}process {}", list.empty() ? "" : ", ", other.pid);
    if (other.memory_bytes > 0) list += " with " + gib(other.memory_bytes);
    bytes += other.memory_bytes;
  }
  return {
      fmt::format("{}: the GPU is not this process's alone: {}; times would not be the GPU's own",
                  doing, list),
      error_kind::kBusyGpu,
      {{"pid", static_cast<std::int64_t>(others.empty() ? 0 : others.front().pid)},
       {"processes", static_cast<std::int64_t>(others.size())},
       {"memory_bytes", bytes}}};
}

void check_alone(const GpuReading& reading, const std::string& doing) {
  if (!reading.others.empty()) throw busy_gpu(reading.others, doing);
}

RunError wrong_profile(const std::string& profile, const std::string& profile_gpu,
                       const std::string& gpu, const std::string& advice) {
  return {fmt::format("{}: expected a profile of {}, found one of {}; {}", profile, gpu,
                      profile_gpu, advice),
          error_kind::kWrongProfile,
          {{"profile", profile}, {"profile_gpu", profile_gpu}, {"gpu", gpu}}};
}

RunError clocks_dropped(const GpuReading& reading, const std::string& doing) {
  const std::string reasons = throttle_text(reading.throttle);
  return {
      fmt::format("{}: the GPU is slowed down: {} ({:.0f} MHz, {:.0f} W, {:.0f} C); times would "
                  "not be its own",
                  doing, reasons, reading.sm_mhz, reading.power_w, reading.temperature_c),
      error_kind::kClocksDropped,
      {{"reasons", reasons},
       {"sm_mhz", reading.sm_mhz},
       {"power_w", reading.power_w},
       {"temperature_c", reading.temperature_c}}};
}

void check_clocks(const GpuReading& reading, const std::string& doing) {
  if ((reading.throttle & kSlowdown) != 0) throw clocks_dropped(reading, doing);
}

RunError killed(const std::string& child, int signal) {
  return {fmt::format("{} was ended by signal {} ({})", child, signal, ::strsignal(signal)),
          error_kind::kKilled,
          {{"child", child}, {"signal", std::int64_t{signal}}}};
}

RunError timed_out(const std::string& what, double limit_s) {
  return {fmt::format("{} did not end within {:g} s: it hangs{}", what, limit_s, kAttention),
          error_kind::kTimedOut,
          {{"what", what}, {"limit_s", limit_s}}};
}

RunError bad_part(const std::string& path, const std::string& expected, const std::string& found,
                  const std::string& advice) {
  return {fmt::format("{}: expected a part with {}, found {}; {}", path, expected, found, advice),
          error_kind::kBadPart,
          {{"part", path}, {"expected", expected}, {"found", found}}};
}

RunError with_kept(const RunError& error, const std::string& kept) {
  std::vector<ErrorDetail> details = error.details();
  details.push_back({"kept", kept});
  return {std::string(error.what()) + "; kept: " + kept, error.kind(), std::move(details)};
}

}  // namespace v4cap::exec
