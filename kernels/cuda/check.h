// CUDA calls that fail say file, line, call and reason, and carry CUDA's code for it.
//
//   V4CAP_CUDA(cudaMemcpyAsync(...));     every call that returns a cudaError_t
//   V4CAP_LAUNCHED("name");               after every kernel launch
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace v4cap::kernels {

class CudaError : public std::runtime_error {
 public:
  CudaError(const std::string& message, cudaError_t code)
      : std::runtime_error(message), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

// Called directly for what a library (cuBLAS, the driver's tensor maps) refuses.
[[noreturn]] inline void cuda_failed(const char* file, int line, const std::string& call,
                                     const std::string& reason,
                                     cudaError_t code = cudaErrorNotSupported) {
  throw CudaError(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " + reason,
                  code);
}

inline void cuda_check(cudaError_t status, const char* file, int line, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky must not be found again by the next launch
  cuda_failed(file, line, call,
              std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")",
              status);
}

}  // namespace v4cap::kernels

#define V4CAP_CUDA(call) ::v4cap::kernels::cuda_check((call), __FILE__, __LINE__, #call)
#define V4CAP_LAUNCHED(name) \
  ::v4cap::kernels::cuda_check(cudaGetLastError(), __FILE__, __LINE__, "launch of " name)
