// What the CPU references of the operators share that make KV entries, keys and their queries.
//
// Where numbers are rounded to bf16, in references and kernels alike, as DeepSeek's reference does
// with its bf16 tensors: what comes out of a projection or of the pooling, what RMSNorm gives, what
// RoPE gives, what the Hadamard transform gives. Between these points the maths is in float (double
// here).
#pragma once

#include <cmath>

#include "kernels/reference.h"

namespace v4cap::kernels {

// RMSNorm; without `weight` a division by the RMS. Rounded.
inline void norm_to_bf16(double* x, int width, const float* weight, float eps) {
  double square = 0;
  for (int c = 0; c < width; ++c) square += x[c] * x[c];
  const double inverse = 1 / std::sqrt(square / width + real(eps));
  for (int c = 0; c < width; ++c) x[c] *= inverse * (weight == nullptr ? 1 : real(weight[c]));
  round_to_bf16(x, width);
}

// RoPE on the last 64 of `width` channels, with the angles of one position of the table. Rounded.
inline void rope_to_bf16(double* x, int width, const float* angles) {
  double* rotated = x + width - kRopeDim;
  rotate(rotated, angles, kRopeDim);
  round_to_bf16(rotated, kRopeDim);
}

// The angles of a position in a RoPE table [positions, 32, 2].
inline const float* angles_at(const float* rope, std::int64_t position) {
  return rope + position * kRopeDim;
}

}  // namespace v4cap::kernels
