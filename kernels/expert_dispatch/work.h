// Tokens of attention ranks on their way to the experts that they chose, whole experts being spread
// over `gpus` GPUs: for each token and each of its active experts that lives on another GPU a row
// of `hidden` FP8 channels with one scale per 32. Under random routing (gpus-1)/gpus of the experts
// live elsewhere.
//
// A link works in both directions at once, so what counts is the most that any GPU sends or
// receives: the GPU with most tokens sends all of its own, and the GPU with the hottest experts
// receives `imbalance` times the mean share of all tokens. Source of the row: DeepGEMM's fused MoE
// (activations 1x32); the reference model has no dispatch. A token with two experts on one GPU is
// counted twice, as engines without a dispatch by node send it.
#pragma once

#include <algorithm>

#include "kernels/work.h"

namespace v4cap::kernels::expert_dispatch {

struct Shape {
  std::int64_t tokens = 0;       // of all GPUs together
  std::int64_t most_tokens = 0;  // of the GPU that has most
  std::int64_t hidden = 0;
  std::int64_t active = 0;  // experts per token
  std::int64_t gpus = 1;
  double imbalance = 1;  // the hottest GPU's share of all rows over the mean share; at least 1
};

// Rows that the busiest GPU sends or receives. Combining moves as many the other way.
constexpr double busiest_rows(const Shape& s) {
  const double elsewhere = real(s.gpus - 1) / real(s.gpus);
  const double sent = real(s.most_tokens);
  const double received = real(s.tokens) * s.imbalance / real(s.gpus);
  return std::max(sent, received) * real(s.active) * elsewhere;
}

// Bytes that the busiest GPU sends or receives.
constexpr double link_bytes(const Shape& s) {
  return busiest_rows(s) * real(s.hidden) * (1 + 1.0 / 32);
}

}  // namespace v4cap::kernels::expert_dispatch
