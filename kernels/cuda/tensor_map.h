// Tensor maps for the bulk tensor copies of sm_90 and later: how a 2-D matrix is cut into boxes.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "kernels/cuda/check.h"

namespace v4cap::kernels {

// Row-major [rows, columns] with rows `row_bytes` apart (% 16 == 0), copied in boxes of box_rows x
// box_columns (at most 256 each) that are 128 bytes wide and lie in the 128-byte swizzle. What a
// box has outside the matrix arrives as zeros.
inline CUtensorMap tensor_map(CUtensorMapDataType type, const void* base, std::int64_t rows,
                              std::int64_t columns, std::int64_t row_bytes, int box_rows,
                              int box_columns) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    V4CAP_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                cudaEnableDefault, &result));
    if (result != cudaDriverEntryPointSuccess) {
      cuda_failed(__FILE__, __LINE__, "cuTensorMapEncodeTiled", "not in this driver");
    }
    return reinterpret_cast<Encode>(found);
  }();
  CUtensorMap map{};
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(row_bytes)};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(box_columns),
                             static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult status =
      encode(&map, type, 2, const_cast<void*>(base), sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) {
    cuda_failed(__FILE__, __LINE__, "cuTensorMapEncodeTiled",
                "error " + std::to_string(static_cast<int>(status)) + " for " +
                    std::to_string(rows) + " x " + std::to_string(columns));
  }
  return map;
}

}  // namespace v4cap::kernels
