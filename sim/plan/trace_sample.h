// A part of a trace, drawn by a seed, so that runs of several seeds say how much an answer depends
// on which requests came. A trace is played whole sessions at a time: a unit is a session, or a
// request of a trace without sessions. Units of one group (rollouts of one prompt) stay together.
//
//   closed loop  units in random order, as many as asked for. When the trace has fewer, its units
//                come again under ids of their own: the same lengths, another content.
//   open loop    the trace as it was recorded from a random unit on, begun again after its end, so
//                that order, bursts and reuse across requests stay; never a unit twice.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/core/time.h"
#include "traces/trace.h"

namespace v4cap {

struct ClosedSample {
  std::int64_t units = 1;
  std::uint64_t seed = 1;
  // The first `at_once` units begin evenly over this span instead of at one instant, which no
  // service that has been up for a while ever sees.
  Duration ramp{};
  std::int64_t at_once = 1;
  // Longer pauses are cut to it: recorded ones may be a night long.
  std::optional<Duration> think_at_most{};
};

// Throws InputError for a trace whose sessions wait for each other.
Trace closed_sample(const Trace& whole, const ClosedSample& sample);

// At least `requests` requests (units are not cut), or all there are.
Trace open_sample(const Trace& whole, std::int64_t requests, std::uint64_t seed);

// Units of a trace: sessions, or requests where it has none.
std::int64_t unit_count(const Trace& trace);

// Requests a second over the span of their recorded arrivals; 0 where there is no span.
double recorded_rate(const Trace& trace);

}  // namespace v4cap
