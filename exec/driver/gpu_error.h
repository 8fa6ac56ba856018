// What can go wrong on a live GPU, each as a RunError with a kind that a program can act on, the
// figures beside it, and a message that says what to do. Plain C++: CUDA's codes are numbers here
// (exec/explain.cpp holds them against CUDA's header).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exec/driver/gpu_monitor.h"
#include "sim/core/error.h"

namespace v4cap::exec {

// error.kind in the JSON of every command, one word for one fault: README lists them with what they
// mean, and a test holds that list to this one.
namespace error_kind {
inline constexpr const char* kNoDriver = "no_driver";
inline constexpr const char* kDriverTooOld = "driver_too_old";
inline constexpr const char* kNoGpu = "no_gpu";
inline constexpr const char* kUnsupportedGpu = "unsupported_gpu";
inline constexpr const char* kBusyGpu = "busy_gpu";
inline constexpr const char* kWrongProfile = "wrong_profile";
inline constexpr const char* kOutOfMemory = "out_of_memory";
inline constexpr const char* kKernelFault = "kernel_fault";
inline constexpr const char* kDeviceLost = "device_lost";
inline constexpr const char* kCuda = "cuda";  // a CUDA error that is none of these
inline constexpr const char* kClocksDropped = "clocks_dropped";
inline constexpr const char* kTimedOut = "timed_out";
inline constexpr const char* kKilled = "killed";
inline constexpr const char* kProcess = "process";
inline constexpr const char* kRankLost = "rank_lost";
inline constexpr const char* kNoNccl = "no_nccl";
inline constexpr const char* kNccl = "nccl";  // a call of NCCL failed
inline constexpr const char* kBusyFolder = "busy_folder";
inline constexpr const char* kBadPart = "bad_part";
inline constexpr const char* kNoTime = "no_time";
inline constexpr const char* kNothingMeasured = "nothing_measured";
inline constexpr const char* kCheckFailed = "check_failed";
// Of any program here (sim/core/write_error.h, sim/core/error.h, sim/app/program.cpp).
inline constexpr const char* kDiskFull = "disk_full";
inline constexpr const char* kCannotWrite = "cannot_write";
inline constexpr const char* kInput = "input";
inline constexpr const char* kOutOfHostMemory = "out_of_host_memory";
inline constexpr const char* kUnexpected = "unexpected";
inline constexpr const char* kInterrupted = "interrupted";
inline constexpr const char* kRun = "run";
}  // namespace error_kind

// CUDA's codes that mean something to us (cudaError_t; the numbers are part of its ABI).
enum CudaCode : int {
  kCudaSuccess = 0,
  kCudaMemoryAllocation = 2,
  kCudaInsufficientDriver = 35,
  kCudaDevicesUnavailable = 46,
  kCudaNoKernelImageForDevice = 209,
  kCudaEccUncorrectable = 214,
  kCudaNvlinkUncorrectable = 220,
  kCudaUnsupportedPtxVersion = 222,
  kCudaContained = 226,
  kCudaNotReady = 600,
  kCudaIllegalAddress = 700,
  kCudaLaunchTimeout = 702,
  kCudaContextIsDestroyed = 709,
  kCudaAssert = 710,
  kCudaHardwareStackError = 714,
  kCudaIllegalInstruction = 715,
  kCudaMisalignedAddress = 716,
  kCudaInvalidAddressSpace = 717,
  kCudaInvalidPc = 718,
  kCudaLaunchFailure = 719,
  kCudaUnknown = 999,
};

// Of a CUDA call that returned `code`. `message`: place, call and reason. The kinds are
// out_of_memory, device_lost, kernel_fault, driver_too_old, unsupported_gpu and cuda.
RunError cuda_failure(int code, const std::string& message);

// The process's context is gone after this code: every later call fails, and the process must end.
bool context_is_gone(int code);

// An allocation of `asked_bytes` for `what_for` failed.
RunError out_of_memory(std::size_t asked_bytes, std::int64_t free_bytes, std::int64_t total_bytes,
                       const std::string& what_for, const std::string& reason);

// Others compute on the GPU. `doing`: what that spoils ("calibrate linear").
RunError busy_gpu(const std::vector<GpuProcess>& others, const std::string& doing);
// Throws busy_gpu when there are any.
void check_alone(const GpuReading& reading, const std::string& doing);

// A profile, or a part of one, that was measured on another GPU. `advice`: what to do.
RunError wrong_profile(const std::string& profile, const std::string& profile_gpu,
                       const std::string& gpu, const std::string& advice);

// Heat or the hardware holds the clocks down.
RunError clocks_dropped(const GpuReading& reading, const std::string& doing);
// Throws clocks_dropped when they do. A low clock for any other reason passes: under its power cap a
// GPU is like that, and idle it says nothing.
void check_clocks(const GpuReading& reading, const std::string& doing);

// A child process ended by a signal.
RunError killed(const std::string& child, int signal);

// `what` did not end within its limit.
RunError timed_out(const std::string& what, double limit_s);

// A part of a calibration that does not belong to the others or to what is measured now.
RunError bad_part(const std::string& path, const std::string& expected, const std::string& found,
                  const std::string& advice);

// The same error, whose message and member "kept" say what was saved before ("12 of 40 points in
// DIR").
RunError with_kept(const RunError& error, const std::string& kept);

}  // namespace v4cap::exec
