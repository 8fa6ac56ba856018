// Simulated time: integer nanoseconds on a clock of its own, so that it can be neither mixed with
// wall time nor rounded by accident. 2^63 ns are 292 years.
#pragma once

#include <chrono>
#include <cstdint>

namespace v4cap {

// Tag of the simulated clock. It has no now(): time is an argument to everything that needs it.
struct SimClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<SimClock, duration>;
};

using Duration = SimClock::duration;
using SimTime = SimClock::time_point;

inline constexpr SimTime kSimStart{};

constexpr double to_seconds(Duration d) {
  return static_cast<double>(d.count()) * 1e-9;
}
constexpr double to_ms(Duration d) {
  return static_cast<double>(d.count()) * 1e-6;
}

// Nearest nanosecond, halves away from zero. Throws std::out_of_range when `seconds` is not finite
// or does not fit into 292 years.
Duration duration_from_seconds(double seconds);

}  // namespace v4cap
