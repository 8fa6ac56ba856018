// The list of operators while StepOperators fills it; shared by its two source files.
#pragma once

#include "sim/cost/operators.h"

namespace v4cap {

// Operators without launches are dropped.
struct StepOperators::Builder {
  const PlanSums& sums;
  OperatorList& list;

  void add(std::string_view name, OperatorPart part, std::int64_t count, const kernels::Work& work,
           double link_bytes = 0, double share = 1) {
    if (count > 0) list.push_back({name, part, count, work, link_bytes, share});
  }
};

}  // namespace v4cap
