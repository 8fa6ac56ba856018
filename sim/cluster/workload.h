// Turns a trace into arrivals: open loop (times of the trace, Poisson, a burst), closed loop (a
// fixed number of sessions at a time) or a load client (a fixed number of single requests in
// flight, as sglang.bench_serving, vllm bench serve and AIPerf send them). In each a request that
// waits for others arrives a think time after the last of them ended; under the trace's own times
// not before its time there either. Times handed out are absolute; it never looks at a clock.
//
// Of an open loop no request is drawn before it is asked for, and where none waits for others
// nothing is kept of any.
#pragma once

#include <boost/random/exponential_distribution.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/config/scenario.h"
#include "sim/core/random.h"
#include "sim/core/time.h"
#include "traces/trace.h"

namespace v4cap {

struct Arrival {
  SimTime at;
  std::uint32_t request = 0;  // index into the trace
};

inline constexpr Tokens kWarmupOutput{
    32};  // of a warm-up request, as sglang.bench_serving sends it

// A client's warm-up in the trace that it plays: copies of the first request with little output,
// before all others. Nothing where the trace says its phases itself.
void add_warmups(const WorkloadConfig& workload, Trace& trace);

// Throws InputError when the trace cannot be played as asked: no arrival times for
// ArrivalMode::trace, requests that wait for others for ArrivalMode::client.
void check_arrivals(const WorkloadConfig& workload, const Trace& trace);

class Workload {
 public:
  // `trace` must outlive the workload. Throws like check_arrivals().
  Workload(const Trace& trace, const WorkloadConfig& config, std::uint64_t seed);

  // The next arrival that does not wait for another request, in order of time and at one instant
  // of the workload; nothing when all have come.
  std::optional<Arrival> next_initial();
  // A request finished or was refused at `now`: appends what that lets arrive.
  void ended(std::uint32_t request, SimTime now, std::vector<Arrival>& released);

  std::size_t requests() const { return trace_.played(); }
  // Requests of phases that no metric counts (Trace::phases): they end before the measured ones
  // arrive.
  std::size_t warmups() const { return requests() - measured(); }
  bool is_warmup(std::uint32_t request) const {
    return request < measured_begin_ || request >= measured_end_;
  }
  std::size_t measured() const { return measured_end_ - measured_begin_; }
  // A request's id in records: measured ones have the first, from 0, and no two have the same.
  std::uint32_t record_id(std::uint32_t request) const {
    if (!is_warmup(request)) return request - measured_begin_;
    const auto measured_requests = static_cast<std::uint32_t>(measured());
    return request < measured_begin_ ? measured_requests + request : request;
  }
  bool open_loop() const;
  // Of two requests that with the greater id arrives no earlier.
  bool arrives_in_order() const { return open_loop() && in_order_ && trace_.after.empty(); }
  // No request waits for another one: when all arrive is known before the first does.
  bool independent() const;
  // When the last request of an open loop comes, where none waits for others: then it is known
  // before the first. Nothing elsewhere. Goes through all that next_initial() has still to say.
  std::optional<SimTime> last_arrival() const;

 private:
  // The gaps of a Poisson process.
  struct Gaps {
    RandomEngine engine;
    boost::random::exponential_distribution<double> gap_s;
  };
  void build_dependencies();
  void begin_closed_loop();
  void find_units();
  void begin_open_loop(std::uint64_t seed);
  void begin_at_times();
  void release_dependents(std::uint32_t request, SimTime now, std::vector<Arrival>& released);
  void begin_client();
  void send_next(std::int64_t count, SimTime now, std::vector<Arrival>& released);
  SimTime time_in_trace(std::uint32_t request) const;
  bool waits_for_others(std::uint32_t request) const {
    return !trace_.after_of(trace_.played(request)).empty();
  }
  std::size_t units() const { return singles_ ? requests() : unit_left_.size(); }
  void start_session(std::size_t unit, SimTime now, std::vector<Arrival>& released);

  const Trace& trace_;
  WorkloadConfig config_;
  // Open loop: requests in order, the next one to look at, and when the one before came.
  bool in_order_ = false;  // else `initial_` holds what comes
  std::uint32_t next_request_ = 0;
  SimTime came_ = kSimStart;
  std::optional<Gaps> gaps_;
  std::vector<Arrival> initial_;
  std::size_t next_initial_ = 0;
  // Who waits for a request: dependents_[first_dependent_[r], first_dependent_[r + 1]). All three
  // are empty where nobody waits.
  std::vector<std::uint32_t> first_dependent_, dependents_;
  std::vector<std::uint32_t> waits_for_;  // requests that must still end before this one
  // Closed loop: sessions (or single requests of a trace without sessions) in file order.
  bool singles_ = false;                // each request is a unit of its own; the vectors are empty
  std::vector<std::uint32_t> unit_of_;  // of each request
  std::vector<std::vector<std::uint32_t>> unit_roots_;  // requests that start with the unit
  std::vector<std::uint32_t> unit_left_;                // requests of the unit that have not ended
  std::size_t next_unit_ = 0;
  // Client: phases in order, the one that runs, what of it was sent and has ended.
  std::vector<TracePhase> phases_;
  std::size_t phase_ = 0;
  std::uint32_t sent_ = 0, phase_ended_ = 0;
  std::uint32_t measured_begin_ = 0, measured_end_ = 0;
};

}  // namespace v4cap
