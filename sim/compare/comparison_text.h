// A comparison for people and for scripts.
//
//   JSON: definitions_version, a and b {path, format, notes}, pairing {text, requests, only_in_a,
//   only_in_b}, figures {<name> {unit, a, b, error, error_unit, why[, limit, state]}}, paired
//   {<name> {requests, median_error_pct, median_abs_error_pct, p90_abs_error_pct,
//   worst_abs_error_pct, worst_request[, limit, state]}}, steps (null without a step log) {how, all,
//   by_kind, by_batch, by_context [{name, steps, total_error_pct, median_error_pct,
//   median_abs_error_pct, p90_abs_error_pct, worst_abs_error_pct}]}, limits on them in step_limits
//   {<name> {error_pct, limit, state}}, exceeded [<name>]. Every figure is there on
//   every pair of runs, with null for what was not recorded.
#pragma once

#include <string>

#include "sim/compare/comparison.h"
#include "sim/output/table.h"

namespace v4cap {

std::string comparison_text(const Comparison& comparison, const TextStyle& style);
std::string comparison_json(const Comparison& comparison);

// The part on steps alone, of the run in directory `path`.
std::string steps_text(const StepComparison& steps, const std::vector<StepLimit>& limits,
                       const TextStyle& style);
std::string steps_json(const std::string& path, const StepComparison& steps,
                       const std::vector<StepLimit>& limits);

}  // namespace v4cap
