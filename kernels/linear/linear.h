// Matrix products of the projections, y = x W^T.
//
// FP8 (Wq_a | Wkv in one, Wq_b, Wo_b, shared expert, MTP; Wo_a as `groups` products side by side):
//   y[r, g*out + n] = sum_k x[r, g*in + k] w[g, n, k],
// each code times its scale, the sum in float. In groups, x holds all groups' channels in a row.
// BF16 (compressors, indexer head weights, router, LM head): the same without scales.
// Source: DeepSeek-V4 inference reference (Linear, fp8_gemm, Attention.wo_a).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/linear/work.h"

namespace v4cap::kernels::linear {

enum class Output : std::uint8_t { bf16, f32 };

struct Fp8Args {
  int rows = 0;
  int groups = 1;
  int in = 0, out = 0;  // of one group, % 128 == 0
  Fp8Rows x = {};       // [rows, groups * in]
  Fp8Weights w = {};    // [groups, out, in], scales [groups, out / 128, in / 128]
  void* y = nullptr;    // [rows, y_stride], the first groups * out of each row
  std::int64_t y_stride = 0;
  Output output = Output::bf16;
};

struct Bf16Args {
  int rows = 0;
  int in = 0, out = 0;      // in % 64 == 0, out % 8 == 0
  const Bf16* x = nullptr;  // [rows, x_stride]
  std::int64_t x_stride = 0;
  const Bf16* w = nullptr;  // [out, in]
  void* y = nullptr;        // [rows, y_stride]
  std::int64_t y_stride = 0;
  Output output = Output::f32;
};

// In double, from host pointers: [rows, groups * out].
std::vector<double> reference(const Fp8Args& args);
std::vector<double> reference(const Bf16Args& args);

}  // namespace v4cap::kernels::linear
