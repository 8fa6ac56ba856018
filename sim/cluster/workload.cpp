#include "sim/cluster/workload.h"

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <string>

#include "sim/core/error.h"
#include "sim/core/random.h"

namespace v4cap {

namespace {

constexpr std::uint32_t kNoUnit = 0xffffffffU;

Duration scaled(Duration d, double factor) {
  return factor == 1.0 ? d : duration_from_seconds(to_seconds(d) * factor);
}

}  // namespace

Workload::Workload(const Trace& trace, const WorkloadConfig& config, std::uint64_t seed)
    : trace_(trace), config_(config) {
  build_dependencies();
  if (config.arrivals == ArrivalMode::closed_loop) {
    begin_closed_loop();
  } else if (config.arrivals == ArrivalMode::client) {
    begin_client();
  } else {
    begin_open_loop(seed);
  }
}

bool Workload::open_loop() const {
  return config_.arrivals == ArrivalMode::trace || config_.arrivals == ArrivalMode::poisson;
}

void Workload::begin_closed_loop() {
  unit_of_.assign(trace_.requests.size(), kNoUnit);
  std::vector<std::uint32_t> unit_of_session(trace_.session_names.size(), kNoUnit);
  for (std::uint32_t r = 0; r < trace_.requests.size(); ++r) {
    const std::int32_t session = trace_.requests[r].session;
    std::uint32_t unit =
        session == kNoSession ? kNoUnit : unit_of_session[static_cast<std::size_t>(session)];
    if (unit == kNoUnit) {
      unit = static_cast<std::uint32_t>(unit_left_.size());
      unit_left_.push_back(0);
      unit_roots_.emplace_back();
      if (session != kNoSession) unit_of_session[static_cast<std::size_t>(session)] = unit;
    }
    unit_of_[r] = unit;
    ++unit_left_[unit];
    if (waits_for_[r] == 0) unit_roots_[unit].push_back(r);
  }
  for (std::int64_t i = 0; i < config_.sessions_at_a_time && next_unit_ < unit_left_.size(); ++i) {
    start_session(next_unit_++, kSimStart, initial_);
  }
}

void Workload::begin_client() {
  if (!trace_.after.empty()) {
    throw InputError(Place{trace_.name},
                     "the trace has requests that wait for others; a client sends single ones: set "
                     "workload.arrivals.mode to closed_loop");
  }
  warmups_ = trace_.requests.empty() ? 0 : static_cast<std::size_t>(config_.warmup_requests);
  send_next(static_cast<std::size_t>(config_.concurrency), kSimStart, initial_);
}

// The next ones of the phase: warm-up requests while there are any, else those of the trace.
void Workload::send_next(std::size_t count, SimTime now, std::vector<Arrival>& released) {
  const bool warming = warmups_ended_ < warmups_;
  for (std::size_t i = 0; i < count; ++i) {
    if (warming) {
      if (warmups_sent_ == warmups_) return;
      const std::size_t request = trace_.requests.size() + warmups_sent_++;
      released.push_back({now, static_cast<std::uint32_t>(request)});
    } else {
      if (sent_ == trace_.requests.size()) return;
      released.push_back({now, static_cast<std::uint32_t>(sent_++)});
    }
  }
}

Tokens Workload::output(std::uint32_t request) const {
  const Tokens whole = source(request).output;
  return is_warmup(request) ? std::min(whole, kWarmupOutput) : whole;
}

void Workload::begin_open_loop(std::uint64_t seed) {
  if (config_.arrivals == ArrivalMode::trace && !trace_.has_arrivals) {
    throw InputError(Place{trace_.name},
                     "the trace has no arrival times; set workload.arrivals.mode to closed_loop, "
                     "poisson or burst");
  }
  RandomEngine engine = RandomStreams(seed).stream("arrivals");
  boost::random::exponential_distribution<double> gap_s(config_.rate_per_s > 0 ? config_.rate_per_s
                                                                               : 1.0);
  SimTime at = kSimStart;
  for (std::uint32_t r = 0; r < trace_.requests.size(); ++r) {
    if (waits_for_[r] > 0) continue;
    if (config_.arrivals == ArrivalMode::trace) {
      at = time_in_trace(r);
    } else if (config_.arrivals == ArrivalMode::poisson) {
      at += scaled(duration_from_seconds(gap_s(engine)), config_.time_scale);
    }
    initial_.push_back({at, r});
  }
  std::stable_sort(initial_.begin(), initial_.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
}

SimTime Workload::time_in_trace(std::uint32_t request) const {
  return kSimStart + scaled(trace_.requests[request].arrival, config_.time_scale);
}

void Workload::build_dependencies() {
  const std::size_t n = trace_.requests.size();
  waits_for_.assign(n, 0);
  first_dependent_.assign(n + 1, 0);
  for (const TraceRequest& r : trace_.requests) {
    for (const std::uint32_t before : trace_.after_of(r)) ++first_dependent_[before + 1];
  }
  for (std::size_t i = 0; i < n; ++i) first_dependent_[i + 1] += first_dependent_[i];
  dependents_.resize(first_dependent_[n]);
  std::vector<std::uint32_t> next(first_dependent_.begin(), first_dependent_.end() - 1);
  for (std::uint32_t r = 0; r < n; ++r) {
    for (const std::uint32_t before : trace_.after_of(trace_.requests[r])) {
      dependents_[next[before]++] = r;
      ++waits_for_[r];
    }
  }
}

void Workload::start_session(std::size_t unit, SimTime now, std::vector<Arrival>& released) {
  for (const std::uint32_t r : unit_roots_[unit]) {
    released.push_back({now + trace_.requests[r].think, r});
  }
}

void Workload::ended(std::uint32_t request, SimTime now, std::vector<Arrival>& released) {
  if (config_.arrivals == ArrivalMode::client) {
    const bool last_warmup = is_warmup(request) && ++warmups_ended_ == warmups_;
    const std::int64_t count = last_warmup ? config_.concurrency : 1;
    return send_next(static_cast<std::size_t>(count), now, released);
  }
  for (std::uint32_t i = first_dependent_[request]; i < first_dependent_[request + 1]; ++i) {
    const std::uint32_t waiter = dependents_[i];
    if (--waits_for_[waiter] > 0) continue;
    SimTime at = now + trace_.requests[waiter].think;
    if (config_.arrivals == ArrivalMode::trace) at = std::max(at, time_in_trace(waiter));
    released.push_back({at, waiter});
  }
  if (unit_of_.empty() || --unit_left_[unit_of_[request]] > 0) return;
  if (next_unit_ < unit_left_.size()) start_session(next_unit_++, now, released);
}

}  // namespace v4cap
