// Memory of the executor and CUDA's errors in the program's words, without a GPU.
#include <doctest/doctest.h>

#include "exec/device.h"
#include "exec/v4exec_program.h"
#include "kernels/cuda/check.h"
#include "tests/exec/driver/faulty_gpu.h"

namespace v4cap::exec {
namespace {

// Other tests of the program need CUDA's own calls back.
struct OwnCalls {
  GpuCalls& own = gpu_calls();
  ~OwnCalls() { set_gpu_calls(&own); }
};

TEST_CASE("device memory: running out says what it was for, and gives the rest back") {
  const OwnCalls restore;
  FaultyGpu gpu;
  gpu.fail_allocation = 2;
  try {
    const DeviceMemory first(64, "weights");
    CHECK(gpu.held() == 1);
    const DeviceMemory second(std::size_t{1} << 30, "KV pages");
    FAIL("there was memory");
  } catch (const RunError& error) {
    CHECK(error.kind() == "out_of_memory");
    CHECK(std::string(error.what()).find("asked for 1.000 GiB for KV pages") != std::string::npos);
  }
  CHECK(gpu.held() == 0);
  { const DeviceMemory nothing(0); }
  CHECK(gpu.allocations() == 2);
}

TEST_CASE("explain: a CudaError gets a kind by its code, any other exception none") {
  const OwnCalls restore;
  const FaultyGpu gpu;
  const auto fault = explain_cuda(kernels::CudaError("f.cpp:3: g()", cudaErrorIllegalAddress));
  REQUIRE(fault);
  CHECK(fault->kind() == "kernel_fault");
  CHECK(std::string(fault->what()).find("f.cpp:3: g()") != std::string::npos);
  CHECK(gpu_is_lost());
  set_gpu_lost(false);
  CHECK(explain_cuda(kernels::CudaError("x", cudaErrorMemoryAllocation))->kind() ==
        "out_of_memory");
  CHECK(!gpu_is_lost());
  CHECK(!explain_cuda(std::runtime_error("x")));
}

}  // namespace
}  // namespace v4cap::exec
