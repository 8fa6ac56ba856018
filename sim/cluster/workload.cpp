#include "sim/cluster/workload.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"

namespace v4cap {

namespace {

constexpr std::uint32_t kNoUnit = 0xffffffffU;

Duration scaled(Duration d, double factor) {
  return factor == 1.0 ? d : duration_from_seconds(to_seconds(d) * factor);
}

}  // namespace

void add_warmups(const WorkloadConfig& workload, Trace& trace) {
  if (!trace.phases.empty() || trace.requests.empty()) return;
  const auto measured = static_cast<std::uint32_t>(trace.requests.size());
  TraceRequest warmup = trace.requests.front();
  warmup.output = std::min(warmup.output, kWarmupOutput);
  warmup.session = kNoSession;
  warmup.continued_by = kNoRequest;
  trace.requests.insert(trace.requests.end(), static_cast<std::size_t>(workload.warmup_requests),
                        warmup);
  const auto all = static_cast<std::uint32_t>(trace.requests.size());
  if (all > measured) trace.phases.push_back({measured, all, workload.concurrency, false});
  trace.phases.push_back({0, measured, workload.concurrency, true});
}

Workload::Workload(const Trace& trace, const WorkloadConfig& config, std::uint64_t seed)
    : trace_(trace), config_(config), measured_end_(trace.played()) {
  check_arrivals(config, trace);
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

bool Workload::independent() const {
  return config_.arrivals != ArrivalMode::closed_loop && config_.arrivals != ArrivalMode::client &&
         trace_.after.empty();
}

void Workload::begin_closed_loop() {
  const auto at_a_time = static_cast<std::size_t>(config_.sessions_at_a_time);
  singles_ = trace_.session_names.empty() && trace_.after.empty();
  if (!singles_) find_units();
  while (next_unit_ < std::min(at_a_time, units()))
    start_session(next_unit_++, kSimStart, initial_);
  std::ranges::stable_sort(initial_, {}, &Arrival::at);
}

void Workload::find_units() {
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
    if (!waits_for_others(r)) unit_roots_[unit].push_back(r);
  }
}

void check_arrivals(const WorkloadConfig& workload, const Trace& trace) {
  if (workload.arrivals == ArrivalMode::client && !trace.after.empty()) {
    throw InputError(Place{trace.name},
                     "the trace has requests that wait for others; a client sends single ones: set "
                     "workload.arrivals.mode to closed_loop");
  }
  if (workload.arrivals == ArrivalMode::trace && !trace.has_arrivals) {
    throw InputError(Place{trace.name},
                     "the trace has no arrival times; set workload.arrivals.mode to closed_loop, "
                     "poisson or burst");
  }
}

void Workload::begin_client() {
  phases_ = trace_.phases;
  if (trace_.requests.empty()) return;
  if (phases_.empty()) phases_.push_back({0, measured_end_, config_.concurrency, true});
  for (const TracePhase& phase : phases_) {
    V4CAP_CHECK(phase.begin < phase.end && phase.measured == (&phase == &phases_.back()),
                "the last phase of a client is the one that is measured, and none is empty");
  }
  measured_begin_ = phases_.back().begin;
  measured_end_ = phases_.back().end;
  send_next(phases_.front().concurrency, kSimStart, initial_);
}

void Workload::send_next(std::int64_t count, SimTime now, std::vector<Arrival>& released) {
  const TracePhase& phase = phases_[phase_];
  for (; count > 0 && phase.begin + sent_ < phase.end; --count) {
    released.push_back({now, phase.begin + sent_++});
  }
}

void Workload::begin_open_loop(std::uint64_t seed) {
  in_order_ = true;
  if (config_.arrivals == ArrivalMode::trace) return begin_at_times();
  if (config_.arrivals != ArrivalMode::poisson) return;
  const double rate_per_s = config_.rate_per_s > 0 ? config_.rate_per_s : 1.0;
  gaps_ = Gaps{RandomStreams(seed).stream("arrivals"),
               boost::random::exponential_distribution<double>(rate_per_s)};
}

// Traces are nearly always in order of their times already.
void Workload::begin_at_times() {
  for (std::uint32_t r = 0; r < requests(); ++r) {
    if (!waits_for_others(r)) initial_.push_back({time_in_trace(r), r});
  }
  if (std::ranges::is_sorted(initial_, {}, &Arrival::at)) {
    initial_ = {};
    return;
  }
  in_order_ = false;
  std::ranges::stable_sort(initial_, {}, &Arrival::at);
}

std::optional<Arrival> Workload::next_initial() {
  if (!in_order_) {
    if (next_initial_ == initial_.size()) return std::nullopt;
    return initial_[next_initial_++];
  }
  while (next_request_ < requests() && waits_for_others(next_request_)) ++next_request_;
  if (next_request_ == requests()) return std::nullopt;
  if (config_.arrivals == ArrivalMode::trace) {
    came_ = time_in_trace(next_request_);
  } else if (gaps_) {
    came_ += scaled(duration_from_seconds(gaps_->gap_s(gaps_->engine)), config_.time_scale);
  }
  return Arrival{came_, next_request_++};
}

std::optional<SimTime> Workload::last_arrival() const {
  if (!open_loop() || !trace_.after.empty()) return std::nullopt;
  Workload rest = *this;
  SimTime last = came_;
  while (const std::optional<Arrival> arrival = rest.next_initial()) last = arrival->at;
  return last;
}

SimTime Workload::time_in_trace(std::uint32_t request) const {
  return kSimStart + scaled(trace_.played(request).arrival, config_.time_scale);
}

void Workload::build_dependencies() {
  if (trace_.after.empty()) return;
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
  if (singles_) {
    const auto request = static_cast<std::uint32_t>(unit);
    released.push_back({now + trace_.played(request).think, request});
    return;
  }
  for (const std::uint32_t r : unit_roots_[unit]) {
    released.push_back({now + trace_.requests[r].think, r});
  }
}

void Workload::ended(std::uint32_t request, SimTime now, std::vector<Arrival>& released) {
  if (config_.arrivals == ArrivalMode::client) {
    const TracePhase& phase = phases_[phase_];
    if (++phase_ended_ < phase.end - phase.begin) return send_next(1, now, released);
    if (++phase_ == phases_.size()) return;
    sent_ = phase_ended_ = 0;
    return send_next(phases_[phase_].concurrency, now, released);
  }
  if (!dependents_.empty()) release_dependents(request, now, released);
  if (config_.arrivals != ArrivalMode::closed_loop) return;
  if (!singles_ && --unit_left_[unit_of_[request]] > 0) return;
  if (next_unit_ < units()) start_session(next_unit_++, now, released);
}

void Workload::release_dependents(std::uint32_t request, SimTime now,
                                  std::vector<Arrival>& released) {
  for (std::uint32_t i = first_dependent_[request]; i < first_dependent_[request + 1]; ++i) {
    const std::uint32_t waiter = dependents_[i];
    if (--waits_for_[waiter] > 0) continue;
    SimTime at = now + trace_.requests[waiter].think;
    if (config_.arrivals == ArrivalMode::trace) at = std::max(at, time_in_trace(waiter));
    released.push_back({at, waiter});
  }
}

}  // namespace v4cap
