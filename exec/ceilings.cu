// The ceilings of this GPU, measured in the same run as the kernels that are held against them.
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "exec/fill.h"
#include "exec/timing.h"
#include "kernels/cuda/check.h"

namespace v4cap::exec {
namespace {

__global__ void nothing() {}

__global__ void read_all(uint4* data, std::int64_t count) {
  unsigned folded = 0;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
#pragma unroll 8
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    const uint4 v = data[i];
    folded ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  // Next to never, and only so that the loads have a purpose.
  if (folded == 0x12345678u) data[0].x = folded;
}

void lt_check(cublasStatus_t status, int line, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    kernels::cuda_failed(__FILE__, line, call, cublasLtGetStatusString(status));
  }
}
#define V4CAP_LT(call) lt_check((call), __LINE__, #call)

// Y = X W^T of n x n matrices, K contiguous in both, by cuBLASLt's first choice. FLOP/s, or 0 when
// the library has no kernel.
template <class T>
double matrix_rate(Stopwatch& stopwatch, cudaDataType_t type, int n) {
  Buffer<T> x(static_cast<std::int64_t>(n) * n), w(static_cast<std::int64_t>(n) * n);
  Buffer<kernels::Bf16> y(static_cast<std::int64_t>(n) * n);
  if constexpr (sizeof(T) == 2) {
    fill_normal(x, 1, 1);
    fill_normal(w, 2, 1);
  } else {
    fill_e4m3(x, 1, 100);
    fill_e4m3(w, 2, 100);
  }
  Buffer<float> one(std::vector<float>{1.0f / 128});
  DeviceMemory workspace(std::size_t{64} << 20);
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t in = nullptr, out = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  V4CAP_LT(cublasLtCreate(&handle));
  V4CAP_LT(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  V4CAP_LT(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                          sizeof transposed));
  if (sizeof(T) == 1) {
    const float* scale = one.device();
    V4CAP_LT(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &scale,
                                            sizeof scale));
    V4CAP_LT(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scale,
                                            sizeof scale));
  }
  const auto size = static_cast<std::uint64_t>(n);
  V4CAP_LT(cublasLtMatrixLayoutCreate(&in, type, size, size, n));
  V4CAP_LT(cublasLtMatrixLayoutCreate(&out, CUDA_R_16BF, size, size, n));
  V4CAP_LT(cublasLtMatmulPreferenceCreate(&preference));
  const std::size_t bytes = workspace.bytes();
  V4CAP_LT(cublasLtMatmulPreferenceSetAttribute(
      preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes));
  cublasLtMatmulHeuristicResult_t choice{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, operation, in, in, out, out,
                                                               preference, 1, &choice, &found);
  double rate = 0;
  if (status == CUBLAS_STATUS_SUCCESS && found > 0) {
    const float alpha = 1, beta = 0;
    const Times times = stopwatch.measure(
        [&](kernels::Stream stream) {
          V4CAP_LT(cublasLtMatmul(handle, operation, &alpha, w.device(), in, x.device(), in, &beta,
                                  y.device(), out, y.device(), out, &choice.algo, workspace.get(),
                                  workspace.bytes(), stream));
        },
        0.1);
    // Cold launches are apart from each other, so that the clocks hold up better.
    const double us = std::min(times.cold.median_us, times.warm.median_us);
    rate = 2.0 * n * n * n / (us * 1e-6);
  }
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatrixLayoutDestroy(out);
  cublasLtMatrixLayoutDestroy(in);
  cublasLtMatmulDescDestroy(operation);
  cublasLtDestroy(handle);
  return rate;
}

}  // namespace

void read_through(void* data, std::size_t bytes, kernels::Stream stream) {
  read_all<<<1056, 256, 0, stream>>>(static_cast<uint4*>(data),
                                     static_cast<std::int64_t>(bytes / 16));
  V4CAP_LAUNCHED("read_all");
}

Ceilings measure_ceilings(Stopwatch& stopwatch) {
  Ceilings ceilings;
  stopwatch.warm_up(0.5);
  const Times empty = stopwatch.measure(
      [](kernels::Stream stream) {
        nothing<<<1, 32, 0, stream>>>();
        V4CAP_LAUNCHED("nothing");
      },
      0.01);
  ceilings.nothing_cold_us = empty.cold.median_us;
  ceilings.nothing_warm_us = empty.warm.median_us;
  {
    constexpr std::int64_t kBytes = std::int64_t{1} << 30;
    Buffer<std::uint8_t> from(2 * kBytes), to(kBytes);
    fill_bytes(from, 3);
    const Times copy = stopwatch.measure(
        [&](kernels::Stream stream) {
          V4CAP_CUDA(cudaMemcpyAsync(to.device(), from.device(), static_cast<std::size_t>(kBytes),
                                     cudaMemcpyDeviceToDevice, stream));
        },
        0.02);
    ceilings.copy_bytes_per_s = 2.0 * kBytes / (copy.warm.median_us * 1e-6);
    const Times read = stopwatch.measure(
        [&](kernels::Stream stream) { read_through(from.device(), 2 * kBytes, stream); }, 0.02);
    ceilings.read_bytes_per_s = 2.0 * kBytes / (read.warm.median_us * 1e-6);
  }
  ceilings.bf16_flops_per_s = matrix_rate<kernels::Bf16>(stopwatch, CUDA_R_16BF, 8192);
  ceilings.fp8_flops_per_s = matrix_rate<std::uint8_t>(stopwatch, CUDA_R_8F_E4M3, 8192);
  return ceilings;
}

}  // namespace v4cap::exec
