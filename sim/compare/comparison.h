// Two runs side by side: A is what was measured or the reference, B what was simulated. Every error
// is of B against A and signed: +5 % means that B says more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/compare/compared_figures.h"
#include "sim/compare/limits.h"
#include "sim/compare/measured_run.h"
#include "sim/compare/step_errors.h"

namespace v4cap {

enum class LimitState : std::uint8_t {
  none,      // no limit was asked for
  held,      // |error| <= limit
  exceeded,  // beyond it, or A is 0 and B is not
  unknown,   // not recorded on both sides: counts as not held
};

struct ErrorLimit {
  std::optional<double> limit{};
  LimitState state = LimitState::none;
};

struct FigureError {
  const ComparedFigure* figure = nullptr;
  std::optional<double> a{}, b{};
  std::optional<double> error{};  // % or points
  std::string why{};              // why there is no error; "" where there is one
  ErrorLimit limit{};
};

// Errors of single requests that both sides have, |B - A| / A in %. Requests with an A of 0 are left
// out.
struct PairedError {
  std::string name{};  // "paired_ttft"
  Latency latency{};
  std::int64_t count = 0;
  double median_signed_pct = 0;
  double median_pct = 0, p90_pct = 0, worst_pct = 0;
  std::string worst_id{};
  ErrorLimit limit{};  // on the median
};

// One error of StepComparison::all, in %, where a limit was asked for on it.
struct StepLimit {
  std::string name{};  // "step_median"
  std::optional<double> error{};
  ErrorLimit limit{};
};

struct Comparison {
  MeasuredRun a, b;
  std::vector<FigureError> figures;  // all of compared_figures(), in their order
  std::int64_t paired_requests = 0, only_in_a = 0, only_in_b = 0;
  std::string pairing;              // how requests were paired, or why not, a sentence
  std::vector<PairedError> paired;  // latencies that paired requests have; empty without pairs
  std::optional<StepComparison> steps;
  std::vector<StepLimit> step_limits;
  // Names of limits that are not held.
  std::vector<std::string> exceeded;
};

// Names of the errors that are no figures and may have a limit: paired_ttft, ..., step_total,
// step_median and step_p90.
std::vector<std::string> error_names();

// Without `steps` a limit on the time of steps is unknown.
Comparison compare_runs(MeasuredRun a, MeasuredRun b, std::optional<StepComparison> steps,
                        const ErrorLimits& limits);

// The limits on the times of steps, in the order of error_names(); `steps` may be null.
std::vector<StepLimit> judge_steps(const StepComparison* steps, const ErrorLimits& limits);

}  // namespace v4cap
