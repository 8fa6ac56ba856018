// y = x W^T by cuBLASLt, what its versions share: one handle, and the library's first choice of
// a kernel for every shape, looked up once. Descriptors live on the stack of a launch, because the
// scales' addresses are part of them.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/linear/linear.h"
#include "kernels/registry.h"

namespace v4cap::kernels::linear {

// Scratch memory that the library may use: what NVIDIA advises for sm_90 and sm_100.
inline constexpr std::size_t kLtWorkspaceBytes = std::size_t{32} << 20;

// The library computes column by column, so it sees D[out, rows] = W'^T X of W'[in, out], X[in,
// rows].
struct LtProduct {
  cudaDataType_t operand = CUDA_R_16BF, result = CUDA_R_16BF;
  int rows = 0, in = 0, out = 0;
  std::int64_t x_stride = 0, y_stride = 0;
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
  const float* x_scales = nullptr;    // FP8: 1 x 128, a column of `rows` for every 128 channels
  const float* w_scales = nullptr;    // FP8: 128 x 128, [out / 128, in / 128]
  const void* x_mx_scales = nullptr;  // MXFP8: 1 x 32 in the library's tiles (mxfp8_scales.h)
  const void* w_mx_scales = nullptr;  // MXFP8: likewise
};

// The product of one group, but for its scales.
inline LtProduct product_of_group(const Fp8Args& args, std::int64_t group) {
  const std::int64_t in = args.in, out = args.out;
  const std::int64_t y_bytes = args.output == Output::bf16 ? 2 : 4;
  return {.operand = CUDA_R_8F_E4M3,
          .result = args.output == Output::bf16 ? CUDA_R_16BF : CUDA_R_32F,
          .rows = args.rows,
          .in = args.in,
          .out = args.out,
          .x_stride = args.groups * in,
          .y_stride = args.y_stride,
          .x = args.x.codes + group * in,
          .w = args.w.codes + group * out * in,
          .y = static_cast<std::uint8_t*>(args.y) + group * out * y_bytes};
}

// Throws CudaError that names the shape when the library has no kernel for it.
void launch_lt(const LtProduct& product, void* workspace, Stream stream);

}  // namespace v4cap::kernels::linear
