#include "sim/cost/step_fit.h"

#include <algorithm>
#include <cmath>

#include "sim/core/error.h"
#include "sim/cost/least_squares.h"
#include "sim/cost/profile_fit.h"

namespace v4cap {

namespace {

constexpr std::size_t kN = kStepFeatures.size();
constexpr std::uint64_t kFolds = 10;

}  // namespace

std::vector<std::string> step_coefficient_names() {
  std::vector<std::string> names(kStepFeatures.begin(), kStepFeatures.end());
  names.insert(names.end(), {"experts", "experts_per_token"});
  return names;
}

StepSizes step_sizes(const StepRecord& step) {
  double tokens = 0, past = 0;
  for (const StepRecord::Prefill& one : step.prefills) {
    tokens += one.tokens;
    past = std::max(past, one.past);
  }
  return {step.decode_tokens, step.decode_context, tokens, past};
}

StepSizes largest_sizes(const std::vector<StepRecord>& steps) {
  StepSizes largest{};
  for (const StepRecord& step : steps) {
    const StepSizes sizes = step_sizes(step);
    for (std::size_t i = 0; i < sizes.size(); ++i) largest[i] = std::max(largest[i], sizes[i]);
  }
  return largest;
}

StepValues step_features(const StepRecord& step, const ExpertShape& shape) {
  double tokens = 0, past = 0, square = 0;
  for (const StepRecord::Prefill& one : step.prefills) {
    tokens += one.tokens;
    past += one.tokens * one.past;
    square += one.tokens * one.tokens;
  }
  const double missed = std::pow(1 - shape.per_token / shape.experts, tokens + step.decode_tokens);
  return {tokens > 0 ? 0.0 : 1.0,
          tokens > 0 ? 1.0 : 0.0,
          step.decode_tokens,
          step.decode_context,
          tokens,
          past,
          square,
          1 - missed};
}

StepValues fit_steps(const std::vector<StepRecord>& steps, const ExpertShape& shape) {
  V4CAP_CHECK(!steps.empty(), "no steps");
  RelativeLeastSquares fit(kN);
  for (const StepRecord& step : steps) {
    const StepValues x = step_features(step, shape);
    fit.add({x.begin(), x.end()}, step.us);
  }
  const std::vector<double> c = fit.solution();
  StepValues out{};
  std::ranges::copy(c, out.begin());
  return out;
}

double predicted_us(const StepRecord& step, const StepValues& coefficients,
                    const ExpertShape& shape) {
  const StepValues x = step_features(step, shape);
  double us = 0;
  for (std::size_t i = 0; i < kN; ++i) us += coefficients[i] * x[i];
  return us;
}

HeldOutError held_out_steps(const std::vector<StepRecord>& steps, const ExpertShape& shape) {
  std::vector<double> errors;
  for (std::uint64_t fold = 0; fold < kFolds; ++fold) {
    std::vector<StepRecord> rest;
    for (const StepRecord& s : steps) {
      if (s.line_hash % kFolds != fold) rest.push_back(s);
    }
    if (rest.empty() || rest.size() == steps.size()) continue;
    const StepValues c = fit_steps(rest, shape);
    for (const StepRecord& s : steps) {
      if (s.line_hash % kFolds != fold) continue;
      errors.push_back(100 * std::abs(predicted_us(s, c, shape) / s.us - 1));
    }
  }
  return held_out_summary(std::move(errors));
}

}  // namespace v4cap
