// compare.svg: how TTFT, TPOT and E2EL are distributed on both sides, and, where the times of steps
// are known, their errors against batch and against context.
#pragma once

#include <string>

#include "sim/compare/comparison.h"

namespace v4cap {

std::string comparison_chart(const Comparison& comparison);

// The panels of steps alone, of the run in directory `path`.
std::string steps_chart(const std::string& path, const StepComparison& steps);

}  // namespace v4cap
