// Shared expert, between its products: a = silu(min(g, limit)) * clamp(u, -limit, limit) -> bf16 ->
// act_fp8(.; 128). Source: DeepSeek-V4 inference reference (Expert).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formats/matrices.h"
#include "kernels/work.h"

namespace v4cap::kernels::swiglu_quant {

struct Args {
  int rows = 0;
  int intermediate = 0;           // % 128 == 0
  const Bf16* gate_up = nullptr;  // [rows, 2 * intermediate]: gate, then up
  float limit = 10;
  Fp8Rows quantised = {};  // [rows, intermediate]
};

struct Expected {
  std::vector<double> activated;
  std::vector<double> dequantised;
};
Expected reference(const Args& args);

struct Shape {
  std::int64_t rows = 0;
  std::int64_t intermediate = 0;
};

constexpr Work work(const Shape& s) {
  Work w;
  w.flops_bf16 = real(s.rows) * 6 * real(s.intermediate);
  w.activation_bytes = real(s.rows) * real(s.intermediate) * (4 + 1 + 4.0 / 128);
  return w;
}

}  // namespace v4cap::kernels::swiglu_quant
