// Units as AIPerf writes them beside a value.
#pragma once

#include "sim/core/json.h"

namespace v4cap {

inline constexpr double kMsMax = 1e15;

// Milliseconds in one of `unit`: "ms", "sec" or "s", "us", "ns". Throws InputError for another.
double ms_per_unit(JsonValue unit);

}  // namespace v4cap
