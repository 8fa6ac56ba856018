// Turns a trace into arrivals: open loop (times of the trace, Poisson, a burst) or closed loop (a
// fixed number of sessions at a time). In each a request that waits for others arrives a think time
// after the last of them ended; under the trace's own times not before its time there either. Times
// handed out are absolute; it never looks at a clock.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/core/time.h"
#include "traces/trace.h"

namespace v4cap {

struct Arrival {
  SimTime at;
  std::uint32_t request = 0;  // index into the trace
};

class Workload {
 public:
  // `trace` must outlive the workload. Throws InputError when the trace cannot be played as asked
  // (no arrival times for ArrivalMode::trace).
  Workload(const Trace& trace, const WorkloadConfig& config, std::uint64_t seed);

  // Arrivals that do not wait for anything, in order of time.
  const std::vector<Arrival>& initial() const { return initial_; }
  // A request finished or was refused at `now`: appends what that lets arrive.
  void ended(std::uint32_t request, SimTime now, std::vector<Arrival>& released);

  std::size_t requests() const { return trace_.requests.size(); }
  bool open_loop() const;

 private:
  void build_dependencies();
  void begin_closed_loop();
  void begin_open_loop(std::uint64_t seed);
  SimTime time_in_trace(std::uint32_t request) const;
  void start_session(std::size_t unit, SimTime now, std::vector<Arrival>& released);

  const Trace& trace_;
  WorkloadConfig config_;
  std::vector<Arrival> initial_;
  // Who waits for a request: dependents_[first_dependent_[r], first_dependent_[r + 1]).
  std::vector<std::uint32_t> first_dependent_, dependents_;
  std::vector<std::uint32_t> waits_for_;  // requests that must still end before this one
  // Closed loop: sessions (or single requests of a trace without sessions) in file order.
  std::vector<std::uint32_t> unit_of_;                  // of each request
  std::vector<std::vector<std::uint32_t>> unit_roots_;  // requests that start with the unit
  std::vector<std::uint32_t> unit_left_;                // requests of the unit that have not ended
  std::size_t next_unit_ = 0;
};

}  // namespace v4cap
