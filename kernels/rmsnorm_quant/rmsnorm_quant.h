// RMSNorm and the FP8 quantiser of the GEMM that follows; each may stand alone.
//
//   n[t, c] = bf16(x[t, c] * rsqrt(mean_c x[t, c]^2 + eps) * weight[c])       (without weight: n = x)
//   codes, scales = act_fp8(n; 128)
//
// Both outputs are optional: a router and a compressor read n, a projection reads the codes.
// Source: DeepSeek-V4 inference reference (RMSNorm, act_quant).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/rmsnorm_quant/work.h"

namespace v4cap::kernels::rmsnorm_quant {

struct Args {
  int rows = 0;
  int width = 0;                  // % 128 == 0
  const Bf16* x = nullptr;        // [rows, x_stride], the first `width` of each row
  std::int64_t x_stride = 0;      // % 8 == 0
  const float* weight = nullptr;  // [width]; null: no norm, the rows are quantised as they are
  float eps = 1e-6f;
  Bf16* normed = nullptr;  // [rows, width] or null
  Fp8Rows quantised = {};  // [rows, width], or codes null
};

struct Expected {
  std::vector<double> normed;       // [rows, width], before it is rounded to bf16
  std::vector<double> dequantised;  // [rows, width], code * scale of the rounded row
};

// In double, from host pointers.
Expected reference(const Args& args);

}  // namespace v4cap::kernels::rmsnorm_quant
