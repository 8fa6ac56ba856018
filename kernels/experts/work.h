// Routed experts: a = silu(min(W1 x, 10)) * clamp(W3 x, -10, 10) * weight, quantised to FP8; y +=
// W2 a for the k experts of each token. Weights are FP4 e2m1 with one UE8M0 scale per 32 (17/32 B),
// activations FP8, so the products run at the FP8 rate (V3: FP8 weights).
//
// Only experts that some token chose are read. Under random routing of T tokens the average is
//   touched = E * (1 - (1 - k/E)^T).
// `ranks` GPUs share the work, each its part of the experts or each a slice of every expert: on
// average both read and multiply 1/ranks of the whole. Where whole experts are spread, the GPU with
// the hottest ones decides: `imbalance` and touched_on_hottest() describe it.
// Source: DeepSeek-V4 inference reference (MoE, Expert).
#pragma once

#include <algorithm>

#include "kernels/work.h"

namespace v4cap::kernels::experts {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0, intermediate = 0;
  std::int64_t active = 0;  // experts per token
  double touched = 0;       // distinct experts over all ranks
  std::int64_t ranks = 1;
  double imbalance = 1;         // rows of this GPU over the mean of all GPUs
  double bytes_per_weight = 0;  // scales included
  Precision precision = Precision::fp8;
};

// base^n by squaring: the same bits with every compiler and library, unlike std::pow.
constexpr double integer_power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n >>= 1, base *= base) {
    if ((n & 1) != 0) result *= base;
  }
  return result;
}

// Average number of distinct experts that `tokens` tokens choose at random, `active` of `experts`
// each.
constexpr double touched_experts(std::int64_t experts, std::int64_t active, std::int64_t tokens) {
  const double missed = integer_power(1 - real(active) / real(experts), tokens);
  return real(experts) * (1 - missed);
}

// The same on the GPU with the hottest of `experts` experts that are spread over `gpus` GPUs, which
// gets `imbalance` times the mean number of rows; no expert gets a token twice.
constexpr double touched_on_hottest(std::int64_t experts, std::int64_t active, std::int64_t tokens,
                                    std::int64_t gpus, double imbalance) {
  const double local = real((experts + gpus - 1) / gpus);
  const double chosen = std::min(1.0, imbalance * real(active) / (real(gpus) * local));
  return local * (1 - integer_power(1 - chosen, tokens));
}

constexpr Work work(const Shape& s) {
  const double weights_of_one = 3 * real(s.hidden) * real(s.intermediate);
  const double rows = real(s.tokens) * real(s.active) * s.imbalance / real(s.ranks);
  const double row_in = real(s.hidden) * (1 + 1.0 / 32);  // FP8 with a scale per 32
  const double row_out = 2 * real(s.hidden);
  Work w;
  w.add_flops(s.precision, rows * 2 * weights_of_one);
  w.weight_bytes = s.touched / real(s.ranks) * weights_of_one * s.bytes_per_weight;
  w.activation_bytes = rows * (row_in + row_out);
  return w;
}

}  // namespace v4cap::kernels::experts
