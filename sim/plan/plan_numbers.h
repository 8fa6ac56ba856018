// Loads and money as plans print them.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "sim/output/humanise.h"

namespace v4cap {

inline std::string plan_number(double value) {
  return grouped(value, value == std::floor(value) ? 0 : std::max(1, decimals_for(value)));
}

inline std::string plan_money(double value) {
  if (value == 0) return "0";
  return grouped(value, value >= 1000 ? 0 : value >= 0.1 ? 2 : 4);
}

// "12 to 14", or "12" where both read alike.
inline std::string plan_range(double low, double high) {
  const std::string from = plan_number(low), to = plan_number(high);
  return from == to ? from : from + " to " + to;
}

}  // namespace v4cap
