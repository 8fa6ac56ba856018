// FLOPs of one decoded token by part of the model: the figures that papers and press compare. They
// come from the same operators as the cost of a step, on one rank without tensor parallelism.
#pragma once

#include <cstdint>

#include "sim/core/units.h"
#include "sim/cost/operators.h"

namespace v4cap {

struct TokenFlops {
  double attention_projections = 0;
  double compressors = 0;
  double index_projection = 0;
  double index_scores = 0;
  double attention_csa = 0, attention_hca = 0, attention_window = 0;
  double attention_dense = 0;  // MLA, DSA, GQA
  double experts = 0;          // routed and shared experts, dense MLPs
  double mhc_and_router = 0;
  double head = 0;
  double other = 0;  // norms, embedding

  double total() const;
  // In FP8 equivalents, the way the V4 report compares models: the BF16 products of core attention
  // count twice, index scores half when both sides are FP4. The other parts count as they are,
  // since FP4 weights run at the FP8 rate and BF16 weights are few.
  double fp8_equivalent(IndexerFormat indexer) const;
};

// The token at the end of a context of `context` tokens, itself included; context >= 1. The formats
// of cache entries do not change FLOPs.
TokenFlops flops_per_token(const ModelSpec& model, Tokens context);

}  // namespace v4cap
