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

[[noreturn]] void refuse_duration();

// Nearest nanosecond, halves away from zero. Throws std::out_of_range when `seconds` is not finite
// or does not fit into 292 years.
inline Duration duration_from_seconds(double seconds) {
  const double ns = seconds * 1e9;
  constexpr double kLimit = 9.2e18;
  if (!(ns > -kLimit && ns < kLimit)) refuse_duration();
  const auto whole = static_cast<std::int64_t>(ns);
  const double rest = ns - static_cast<double>(whole);  // exact
  return Duration{whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0)};
}

}  // namespace v4cap
