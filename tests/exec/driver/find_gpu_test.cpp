// What stands in the way of a GPU is named, without one.
#include "exec/driver/find_gpu.h"

#include <doctest/doctest.h>

namespace v4cap::exec {
namespace {

TEST_CASE("no driver, an old one and no device are told apart") {
  struct Row {
    DriverAnswer answer;
    std::string kind, says;
  };
  const Row rows[] = {
      {{.driver_version = 0, .runtime_version = 13000, .refusal = "insufficient driver"},
       "no_driver",
       "expected an NVIDIA driver for CUDA 13.0, found none"},
      {{.driver_version = 12040, .runtime_version = 13000, .refusal = "insufficient driver"},
       "driver_too_old",
       "expected a driver for CUDA 13.0, found one for CUDA 12.4"},
      {{.driver_version = 13000, .runtime_version = 13000, .refusal = "no device is detected"},
       "no_gpu",
       "expected a GPU beside the driver for CUDA 13.0, found no device is detected;"},
      {{.driver_version = 13020, .runtime_version = 13000}, "no_gpu", "found none;"},
      {{.driver_version = 13000, .runtime_version = 13000, .visible_devices = "-1"},
       "no_gpu",
       "found none (CUDA_VISIBLE_DEVICES is '-1')"},
      // Of the same major version an older driver is no reason.
      {{.driver_version = 13000, .runtime_version = 13010, .refusal = "system not ready"},
       "no_gpu",
       "found system not ready"},
  };
  for (const Row& row : rows) {
    const InputError error = missing_gpu(row.answer);
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.kind() == row.kind);
    CHECK(message.find(row.says) != std::string::npos);
    CHECK(error.diagnostics().front().place.file.empty());
  }
}

TEST_CASE("a GPU that the kernels are not built for is refused by name") {
  const int shared = 227 * 1024;
  CHECK_NOTHROW(check_supported({0, "NVIDIA H100 80GB HBM3", 9, 0, shared}));
  CHECK_NOTHROW(check_supported({0, "NVIDIA B200", 10, 0, shared}));
  const auto refusal = [](const GpuTraits& gpu) -> std::string {
    try {
      check_supported(gpu);
    } catch (const InputError& error) {
      CHECK(error.kind() == "unsupported_gpu");
      return error.what();
    }
    return "";
  };
  CHECK(refusal({1, "NVIDIA A100-SXM4-80GB", 8, 0, 163 * 1024})
            .find("GPU 1 is a NVIDIA A100-SXM4-80GB of compute capability 8.0: expected 9.0") !=
        std::string::npos);
  CHECK(refusal({0, "NVIDIA GeForce RTX 5090", 12, 0, 99 * 1024})
            .find("expected a data-centre GPU with 227 KiB") != std::string::npos);
}

}  // namespace
}  // namespace v4cap::exec
