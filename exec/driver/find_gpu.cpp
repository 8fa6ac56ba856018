#include "exec/driver/find_gpu.h"

#include <fmt/format.h>

#include "exec/driver/gpu_error.h"
#include "kernels/registry.h"

namespace v4cap::exec {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

constexpr const char* kNeeds =
    "v4exec needs a GPU of compute capability 9.0 (H100, H200), 10.0 (B200) or newer; v4cap needs "
    "none";

}  // namespace

InputError missing_gpu(const DriverAnswer& answer) {
  const std::string runtime = version_text(answer.runtime_version);
  if (answer.driver_version == 0) {
    return {{},
            fmt::format("expected an NVIDIA driver for CUDA {}, found none (libcuda.so.1); {}",
                        runtime, kNeeds),
            error_kind::kNoDriver,
            {{"needed_cuda", runtime}}};
  }
  const std::string driver = version_text(answer.driver_version);
  // Within a major version any driver runs any runtime.
  if (answer.driver_version / 1000 < answer.runtime_version / 1000) {
    return {{},
            fmt::format("expected a driver for CUDA {}, found one for CUDA {}: update the driver "
                        "(580 or newer for CUDA 13)",
                        runtime, driver),
            error_kind::kDriverTooOld,
            {{"needed_cuda", runtime}, {"driver_cuda", driver}}};
  }
  std::string found = answer.refusal.empty() ? "none" : answer.refusal;
  if (!answer.visible_devices.empty()) {
    found += fmt::format(" (CUDA_VISIBLE_DEVICES is '{}')", answer.visible_devices);
  }
  return {{},
          fmt::format("expected a GPU beside the driver for CUDA {}, found {}; {}", driver, found,
                      kNeeds),
          error_kind::kNoGpu,
          {{"driver_cuda", driver}}};
}

void check_supported(const GpuTraits& gpu) {
  const std::vector<ErrorDetail> details{
      {"device", gpu.name}, {"compute_capability", fmt::format("{}.{}", gpu.major, gpu.minor)}};
  if (!kernels::runs_on(kernels::Target::portable, gpu.major, gpu.minor)) {
    throw InputError({"--device"},
                     fmt::format("GPU {} is a {} of compute capability {}.{}: expected 9.0 (H100, "
                                 "H200), 10.0 (B200) or newer",
                                 gpu.index, gpu.name, gpu.major, gpu.minor),
                     error_kind::kUnsupportedGpu, details);
  }
  constexpr int kSharedBytes = 227 * 1024;  // of a block, as H100, H200 and B200 have
  if (gpu.shared_bytes_per_block < kSharedBytes) {
    throw InputError(
        {"--device"},
        fmt::format("GPU {} is a {}: expected a data-centre GPU with 227 KiB of shared "
                    "memory for a thread block (H100, H200, B200)",
                    gpu.index, gpu.name),
        error_kind::kUnsupportedGpu, details);
  }
}

}  // namespace v4cap::exec
