// What a CudaError means, for the program to say; and our numbers for CUDA's codes against CUDA's.
#include <cuda_runtime_api.h>

#include "exec/driver/gpu_calls.h"
#include "exec/driver/gpu_error.h"
#include "exec/v4exec_program.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec {

static_assert(kCudaSuccess == static_cast<int>(cudaSuccess));
static_assert(kCudaMemoryAllocation == static_cast<int>(cudaErrorMemoryAllocation));
static_assert(kCudaInsufficientDriver == static_cast<int>(cudaErrorInsufficientDriver));
static_assert(kCudaDevicesUnavailable == static_cast<int>(cudaErrorDevicesUnavailable));
static_assert(kCudaNoKernelImageForDevice == static_cast<int>(cudaErrorNoKernelImageForDevice));
static_assert(kCudaEccUncorrectable == static_cast<int>(cudaErrorECCUncorrectable));
static_assert(kCudaNvlinkUncorrectable == static_cast<int>(cudaErrorNvlinkUncorrectable));
static_assert(kCudaUnsupportedPtxVersion == static_cast<int>(cudaErrorUnsupportedPtxVersion));
static_assert(kCudaContained == static_cast<int>(cudaErrorContained));
static_assert(kCudaNotReady == static_cast<int>(cudaErrorNotReady));
static_assert(kCudaIllegalAddress == static_cast<int>(cudaErrorIllegalAddress));
static_assert(kCudaLaunchTimeout == static_cast<int>(cudaErrorLaunchTimeout));
static_assert(kCudaContextIsDestroyed == static_cast<int>(cudaErrorContextIsDestroyed));
static_assert(kCudaAssert == static_cast<int>(cudaErrorAssert));
static_assert(kCudaHardwareStackError == static_cast<int>(cudaErrorHardwareStackError));
static_assert(kCudaIllegalInstruction == static_cast<int>(cudaErrorIllegalInstruction));
static_assert(kCudaMisalignedAddress == static_cast<int>(cudaErrorMisalignedAddress));
static_assert(kCudaInvalidAddressSpace == static_cast<int>(cudaErrorInvalidAddressSpace));
static_assert(kCudaInvalidPc == static_cast<int>(cudaErrorInvalidPc));
static_assert(kCudaLaunchFailure == static_cast<int>(cudaErrorLaunchFailure));
static_assert(kCudaUnknown == static_cast<int>(cudaErrorUnknown));

std::optional<RunError> explain_cuda(const std::exception& error) {
  const auto* const cuda = dynamic_cast<const kernels::CudaError*>(&error);
  if (cuda == nullptr) return {};
  if (context_is_gone(cuda->code())) set_gpu_lost(true);
  return cuda_failure(cuda->code(), cuda->what());
}

}  // namespace v4cap::exec
