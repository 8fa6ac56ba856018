// A model of whole steps from an engine's own log: time is a sum of a few things that cost, each
// with a coefficient of at least 0, fitted by least squares of relative errors.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/cost/profile.h"

namespace v4cap {

// One step as an engine's log has it. A prefill is a chunk of one request.
struct StepRecord {
  struct Prefill {
    double tokens = 0, past = 0;  // tokens of the chunk, and of the request before it
  };
  std::vector<Prefill> prefills;
  double decode_tokens = 0;     // requests that decode
  double decode_context = 0;    // sum of their tokens so far
  double us = 0;                // measured, above 0
  std::uint64_t line_hash = 0;  // decides the fold
};

// Of the whole model: decides how soon tokens of a step touch all experts.
struct ExpertShape {
  double experts = 384, per_token = 6;
};

// Microseconds per unit of each:
//   decode_step       a step without prefill         prefill_step    a step with
//   decode_token      a request that decodes         decode_context  a token of their contexts
//   prefill_token     a token of a chunk
//   prefill_past      a token of a chunk times a token before the chunk
//   prefill_square    a token of a chunk times a token of the same chunk
//   experts_touched   all experts: share 1 - (1 - per_token / experts)^tokens of them
inline constexpr std::array kStepFeatures = {"decode_step",    "prefill_step",   "decode_token",
                                             "decode_context", "prefill_token",  "prefill_past",
                                             "prefill_square", "experts_touched"};
using StepValues = std::array<double, kStepFeatures.size()>;

// How large a step is, by what bounds the steps of a log:
//   decode_tokens   requests that decode
//   decode_context  sum of their tokens
//   prefill_tokens  sum of the tokens of chunks
//   prefill_past    tokens before a chunk, of the chunk that has most
inline constexpr std::array kStepSizes = {"decode_tokens", "decode_context", "prefill_tokens",
                                          "prefill_past"};
using StepSizes = std::array<double, kStepSizes.size()>;
StepSizes step_sizes(const StepRecord& step);
// The most of each in any of the steps.
StepSizes largest_sizes(const std::vector<StepRecord>& steps);

// The features, and `experts` and `experts_per_token` for the shape.
std::vector<std::string> step_coefficient_names();

StepValues step_features(const StepRecord& step, const ExpertShape& shape);

// Non-negative least squares of (prediction / us - 1). At least one step.
StepValues fit_steps(const std::vector<StepRecord>& steps, const ExpertShape& shape);

double predicted_us(const StepRecord& step, const StepValues& coefficients,
                    const ExpertShape& shape);

// Errors of predicting each tenth of the steps (by line hash) from the other nine.
HeldOutError held_out_steps(const std::vector<StepRecord>& steps, const ExpertShape& shape);

}  // namespace v4cap
