// What one launch of an operator costs, whatever runs it: floating-point operations by the
// precision they run in, and bytes by where they go. Every operator of a decoder layer has a folder
// here whose work.h turns a shape into a Work. The simulator divides a Work by rates to predict a
// time, the executor divides it by a measured time to report rates: both read the same formulas.
//
// Conventions. One multiply-add is 2 FLOP. Weights are read once per launch. Activations count what
// must cross device memory: outputs of a GEMM, not the inputs that the operator before it has just
// left in L2. Amounts are doubles because averages (experts touched) and scales (17/32 B per
// weight) are fractional; up to 2^53 they are exact. Plain C++, so that .cu files can include it.
//
// The maths, unless a file says otherwise, is that of DeepSeek's inference reference for V4
// (model.py and kernel.py beside the DeepSeek-V4-Pro checkpoint on huggingface.co).
#pragma once

#include <cstdint>

namespace v4cap::kernels {

// The rate a product runs at. FP4 weights with FP8 activations run at the FP8 rate (kind mxf8f6f4
// of sm_100), so they count as fp8; fp4 means that both sides are FP4.
enum class Precision : std::uint8_t { bf16, fp8, fp4 };

struct Work {
  double flops_bf16 = 0, flops_fp8 = 0, flops_fp4 = 0;
  double weight_bytes = 0;
  double activation_bytes = 0;  // activations, logits and compressor state
  double cache_read_bytes = 0;  // cache entries and indexer keys
  double cache_write_bytes = 0;

  constexpr double flops() const { return flops_bf16 + flops_fp8 + flops_fp4; }
  constexpr double bytes() const {
    return weight_bytes + activation_bytes + cache_read_bytes + cache_write_bytes;
  }
  constexpr void add_flops(Precision precision, double flops) {
    switch (precision) {
      case Precision::bf16:
        flops_bf16 += flops;
        break;
      case Precision::fp8:
        flops_fp8 += flops;
        break;
      case Precision::fp4:
        flops_fp4 += flops;
        break;
    }
  }
  constexpr Work& operator+=(const Work& o) {
    flops_bf16 += o.flops_bf16;
    flops_fp8 += o.flops_fp8;
    flops_fp4 += o.flops_fp4;
    weight_bytes += o.weight_bytes;
    activation_bytes += o.activation_bytes;
    cache_read_bytes += o.cache_read_bytes;
    cache_write_bytes += o.cache_write_bytes;
    return *this;
  }
  friend constexpr Work operator+(Work a, const Work& b) { return a += b; }
};

// An integer amount as a factor of a Work.
constexpr double real(std::int64_t n) {
  return static_cast<double>(n);
}

}  // namespace v4cap::kernels
