// How far off the times of single steps are: the step of one plan, as A measured it and as B has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/engine/step_plan.h"
#include "sim/output/text_sink.h"

namespace v4cap {

// By the pieces of a plan. A step that rebuilds is one, whatever else it does.
enum class StepKind : std::uint8_t { decode, prefill, mixed, rebuild };
std::string_view name_of(StepKind kind);
StepKind kind_of(const StepPlan& plan);

struct StepPair {
  StepKind kind{};
  std::int64_t batch = 0;     // sequences
  double context_tokens = 0;  // mean over its sequences of the positions after the step
  double a_ms = 0, b_ms = 0;
  double error_pct() const { return 100 * (b_ms - a_ms) / a_ms; }
};

StepPair step_pair(const StepPlan& plan, double a_ms, double b_ms);

// Errors of B against A over some steps, in %.
struct StepErrors {
  std::string name{};  // "decode"; "3..4" sequences; "1,025..2,048" tokens
  std::int64_t steps = 0;
  double total_pct = 0;  // signed, of the sum of their times
  double median_signed_pct = 0;
  double median_pct = 0, p90_pct = 0, worst_pct = 0;  // |error|
};

struct StepComparison {
  std::string how{};  // what B's times are, a sentence
  std::vector<StepPair> pairs{};
  StepErrors all{};
  std::vector<StepErrors> by_kind{}, by_batch{}, by_context{};  // those with steps, ascending
};

// `pairs` in the order of the log; every a_ms is above 0.
StepComparison summarise_steps(std::vector<StepPair> pairs, std::string how);

// One line a step, in the order of the log: step,kind,sequences,context_tokens,a_ms,b_ms,error_pct.
void write_step_pairs(const std::optional<StepComparison>& steps, const TextSink& sink);

// Number of the power-of-two bucket that `value` is in: 0 for at most 1, then (1, 2], (2, 4], ...
int bucket_of(double value);

}  // namespace v4cap
