// A CUDA call that fails names file, line, call and reason; no GPU is needed to see that.
#include "kernels/cuda/check.h"

#include <doctest/doctest.h>

namespace v4cap::kernels {
namespace {

TEST_CASE("cuda check: file, line, call and reason are named") {
  const auto fails = [] { return cudaErrorInvalidValue; };
  const int line = __LINE__ + 2;
  try {
    V4CAP_CUDA(fails());
    FAIL("an error passed");
  } catch (const CudaError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(message.find("cuda_check_test.cpp:" + std::to_string(line) + ": fails(): ") !=
          std::string::npos);
    CHECK(message.find("cudaErrorInvalidValue (invalid argument)") != std::string::npos);
    CHECK(error.code() == cudaErrorInvalidValue);
  }
  CHECK_NOTHROW(V4CAP_CUDA(cudaSuccess));
}

}  // namespace
}  // namespace v4cap::kernels
