#include "sim/cost/step_fit.h"

#include <cmath>
#include <limits>
#include <optional>

#include "sim/core/error.h"
#include "sim/cost/profile_fit.h"

namespace v4cap {

namespace {

constexpr std::size_t kN = kStepFeatures.size();
constexpr std::uint64_t kFolds = 10;

struct Normal {  // of the equations A^T A c = A^T b with rows divided by their time
  std::array<std::array<double, kN>, kN> a{};
  std::array<double, kN> b{};
};

Normal normal_equations(const std::vector<StepRecord>& steps, const ExpertShape& shape) {
  Normal out;
  for (const StepRecord& step : steps) {
    const StepValues x = step_features(step, shape);
    for (std::size_t i = 0; i < kN; ++i) {
      out.b[i] += x[i] / step.us;
      for (std::size_t k = 0; k < kN; ++k) out.a[i][k] += x[i] * x[k] / (step.us * step.us);
    }
  }
  return out;
}

// Solution with only the features of `bits`, by Gauss-Jordan on the scaled matrix; nullopt where
// they are not independent.
std::optional<StepValues> solved(const Normal& normal, unsigned bits) {
  constexpr double kDependent = 1e-12;
  std::vector<std::size_t> in;
  for (std::size_t i = 0; i < kN; ++i) {
    if ((bits >> i & 1U) == 0) continue;
    if (!(normal.a[i][i] > 0)) return std::nullopt;
    in.push_back(i);
  }
  const std::size_t n = in.size();
  std::vector<std::vector<double>> m(n, std::vector<double>(n + 1));
  const auto scale = [&](std::size_t i) { return std::sqrt(normal.a[in[i]][in[i]]); };
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) m[i][k] = normal.a[in[i]][in[k]] / scale(i) / scale(k);
    m[i][n] = normal.b[in[i]] / scale(i);
  }
  for (std::size_t p = 0; p < n; ++p) {  // positive definite: no pivoting needed
    if (m[p][p] < kDependent) return std::nullopt;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == p) continue;
      const double factor = m[i][p] / m[p][p];
      for (std::size_t k = p; k <= n; ++k) m[i][k] -= factor * m[p][k];
    }
  }
  StepValues out{};
  for (std::size_t i = 0; i < n; ++i) out[in[i]] = m[i][n] / m[i][i] / scale(i);
  return out;
}

}  // namespace

std::vector<std::string> step_coefficient_names() {
  std::vector<std::string> names(kStepFeatures.begin(), kStepFeatures.end());
  names.insert(names.end(), {"experts", "experts_per_token"});
  return names;
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

// With eight features all choices of those that are above 0 can be tried; of those that give no
// negative coefficient the one with the least squares is the optimum.
StepValues fit_steps(const std::vector<StepRecord>& steps, const ExpertShape& shape) {
  V4CAP_CHECK(!steps.empty(), "no steps");
  const Normal normal = normal_equations(steps, shape);
  StepValues best{};
  double best_gain = 0;  // what the sum of squares falls by
  for (unsigned bits = 1; bits < 1U << kN; ++bits) {
    const std::optional<StepValues> c = solved(normal, bits);
    if (!c) continue;
    double gain = 0;
    bool possible = true;
    for (std::size_t i = 0; i < kN; ++i) {
      possible = possible && (*c)[i] >= 0;
      gain += (*c)[i] * normal.b[i];
    }
    if (possible && gain > best_gain) {
      best_gain = gain;
      best = *c;
    }
  }
  return best;
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
