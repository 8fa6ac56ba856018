// Stands in for the repository's header in the model.
#pragma once

#include "kernels/cuda/hopper.cuh"

namespace v4cap::kernels {

inline CUtensorMap tensor_map(CUtensorMapDataType type, const void* base, std::int64_t rows,
                              std::int64_t columns, std::int64_t row_bytes, int box_rows,
                              int box_columns) {
  model::require(type == CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B && box_columns == 128 &&
                     box_rows <= 256 && columns % 128 == 0 && row_bytes % 32 == 0 &&
                     reinterpret_cast<std::uintptr_t>(base) % 32 == 0,
                 "the driver would refuse this tensor map");
  const hopper::ModelMap map{static_cast<const std::uint8_t*>(base), rows, columns, row_bytes,
                             box_rows};
  CUtensorMap made{};
  std::memcpy(&made, &map, sizeof map);
  return made;
}

}  // namespace v4cap::kernels
