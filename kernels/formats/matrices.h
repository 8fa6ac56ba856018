// Operands that operators hand to each other. Pointers are device memory in kernels and host memory
// in CPU references; everything is row-major, and strides count elements.
#pragma once

#include <cstdint>

#include "kernels/formats/numbers.h"
#include "kernels/formats/quantisers.h"

namespace v4cap::kernels {

// FP8 activations with one scale per row and 128 channels, as cuBLASLt's 1x128 mode and DeepGEMM on
// sm_90 take them: the scales of one group of channels lie side by side for all rows.
//   codes  [rows, width] e4m3, width % 128 == 0, 16-byte aligned
//   scales [width / 128, scale_stride] float, powers of two, scale_stride >= rows, a multiple of 4
struct Fp8Rows {
  std::uint8_t* codes = nullptr;
  float* scales = nullptr;
  std::int64_t scale_stride = 0;
};

// FP8 weights of a projection, W[out, in], y = x W^T.
//   codes  [out, in] e4m3
//   scales [out / 128, in / 128] float, powers of two (the checkpoint's UE8M0, expanded at load)
struct Fp8Weights {
  const std::uint8_t* codes = nullptr;
  const float* scales = nullptr;
};

// FP4 weights of the routed experts.
//   codes  [experts, out, in / 2] e2m1, two to a byte along `in`, the even channel in the low half
//   scales [experts, out, in / 32] UE8M0
struct Fp4Weights {
  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;
};

// Rows that a scale column of Fp8Rows needs for `rows` rows.
constexpr std::int64_t scale_stride_for(std::int64_t rows) {
  return (rows + 3) / 4 * 4;
}

}  // namespace v4cap::kernels
