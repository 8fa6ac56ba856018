#include "sim/cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace v4cap {

Cluster::Cluster(Replica& only, const CostModel& cost, const HostRules& host)
    : host_(host), one_(true), units_(1), drivers_(1) {
  units_[0].driver = std::make_unique<ReplicaDriver>(
      only, cost, host,
      ReplicaDriver::Samples{OccupancyRecorder::kLimit, samples_of_each(only.size())});
  units_[0].state = State::up;
  up_.push_back({0, units_[0].driver.get()});
}

Cluster::Cluster(ClusterParts parts, const HostRules& host)
    : parts_(std::move(parts)),
      host_(host),
      router_(make_router(parts_.config.router)),
      units_(static_cast<std::size_t>(parts_.config.most_replicas())),
      drivers_(units_.size()),
      decoders_(static_cast<std::size_t>(parts_.config.most_decode_replicas())) {
  const ClusterConfig& config = parts_.config;
  V4CAP_CHECK(config.prefill.has_value() == parts_.prefill.has_value(),
              "replicas that read prompts are asked for, or given, and not both");
  if (config.autoscale) scaling_ = make_scaling(config.autoscale->policy);
  for (std::size_t n = decoders_; n < units_.size(); ++n) units_[n].reads = true;
  for (std::size_t n = 0; n < static_cast<std::size_t>(config.replicas); ++n) start(n, kSimStart);
  for (std::size_t n = decoders_; n < units_.size(); ++n) start(n, kSimStart);
  if (config.prefill) {
    prefill_router_ = make_router(config.prefill->router);
    handover_ = std::make_unique<Handover>(*parts_.prefill, config.prefill->transfer, decoders_,
                                           units_.front().own->size(), units_.size() - decoders_,
                                           units_.back().own->size());
  }
  const RandomStreams streams(parts_.seed);
  for (std::size_t entry = 0; entry < config.faults.size(); ++entry) {
    if (config.faults[entry].at) continue;
    for (std::size_t n = 0; n < units_.size(); ++n) {
      random_faults_.push_back({entry, n, streams.stream(fmt::format("faults {} {}", entry, n))});
    }
  }
}

void Cluster::begin(SimTime now) {
  if (!one_) occupancy_.begin(now);
  last_change_ = begun_ ? last_change_ : now;
  for (Unit& unit : units_) {
    if (unit.driver) unit.driver->begin(now);
    unit.up_since = unit.held_since = now;
  }
  if (std::exchange(begun_, true)) return;
  const ClusterConfig& config = parts_.config;
  for (std::size_t entry = 0; entry < config.faults.size(); ++entry) {
    const FaultConfig& fault = config.faults[entry];
    if (!fault.at) continue;
    for (std::size_t n = 0; n < units_.size(); ++n) {
      if (fault.replica && *fault.replica != static_cast<std::int64_t>(n)) continue;
      schedule(now + *fault.at, {Order::fault, n, entry, {}});
    }
  }
  for (std::size_t i = 0; i < random_faults_.size(); ++i) draw_fault(i, now);
  if (scaling_) schedule(now + config.autoscale->interval, {Order::scale, 0, 0, {}});
}

void Cluster::pass(SimTime now) {
  held_ns_ += static_cast<Int128>(held_) * (now - last_change_).count();
  last_change_ = now;
}

void Cluster::schedule(SimTime at, Control control) {
  queue_.push(at, EventKind::control, static_cast<std::uint32_t>(controls_.size()));
  controls_.push_back(control);
}

void Cluster::handle(const EarliestOf::Next& coming, std::vector<RequestRecord>& ended) {
  const SimTime now = coming.at;
  ended_ = &ended;
  sample_until(now);
  if (coming.rank == static_cast<std::uint8_t>(EventKind::control)) {
    const Control next_one = controls_[queue_.pop().target];  // more may be added meanwhile
    obey(next_one, now);
    return;
  }
  if (coming.rank == static_cast<std::uint8_t>(EventKind::handover)) return end_journeys(now);
  const std::size_t n = drivers_.first();
  const std::size_t before = ended.size();
  if (handover_ && coming.rank == static_cast<std::uint8_t>(EventKind::step_end)) {
    send_computed(n, true, now);
  }
  units_[n].driver->handle(now, ended);
  tag(n, before);
  touch(n);
}

// What ended on a replica says so.
void Cluster::tag(std::size_t n, std::size_t first) {
  std::vector<RequestRecord> read;
  if (handover_) read = join_records(n, first);
  tag_ended(n, *ended_, first);
  for (const RequestRecord& record : read) prompt_read(record, record.finished);
}

void Cluster::tag_ended(std::size_t n, std::vector<RequestRecord>& ended, std::size_t first) const {
  for (std::size_t i = first; i < ended.size(); ++i) {
    RequestRecord& record = ended[i];
    record.replica = static_cast<std::int32_t>(n);
    if (retries_.empty()) continue;
    const auto tries = retries_.find(record.id);
    if (tries != retries_.end()) record.retries = tries->second;
  }
}

// Something has changed in it: it may begin a step, and its next event is another one.
void Cluster::touch(std::size_t n) {
  Unit& unit = units_[n];
  drivers_.set(n, unit.driver->next());
  if (unit.touched) return;
  unit.touched = true;
  touched_.push_back(n);
}

void Cluster::settle(std::size_t n, SimTime now) {
  if (units_[n].driver && units_[n].driver->settle(now)) touch(n);
}

void Cluster::submit(std::uint32_t request, SimTime now, std::vector<RequestRecord>& ended) {
  ended_ = &ended;
  sample_until(now);
  place({request, now}, now);
}

void Cluster::park(const Held& held, SimTime now) {
  pass(now);
  ++held_;
  parked_.push_back(held);
}

void Cluster::place(const Held& held, SimTime now) {
  if (handover_) return place_shared(held, now);
  if (up_.empty()) return park(held, now);
  const Tokens block = units_[up_.front().number].driver->replica().block();
  RequestSpec spec = spec_of_(held.request, block, ids_);
  std::size_t chosen = 0;
  if (router_ != nullptr) {
    chosen = router_->choose(spec, up_);
    V4CAP_CHECK(chosen < up_.size(), "a router chose replica " + std::to_string(chosen));
  }
  give(up_[chosen].number, std::move(spec), held.sent, now);
}

void Cluster::give(std::size_t n, RequestSpec spec, SimTime sent, SimTime now) {
  const std::size_t before = ended_->size();
  units_[n].driver->submit(std::move(spec), sent, now, *ended_);
  tag(n, before);
  touch(n);
}

std::int64_t Cluster::start_steps(SimTime now, SimTime horizon) {
  // What happens to one replica may bring something to another: no step is certain.
  if (!one_) horizon = kSimStart;
  const bool ahead = !one_ && !handover_;
  std::int64_t started = 0;
  for (std::size_t i = 0; i < touched_.size(); ++i) {  // more may be touched meanwhile
    const std::size_t n = touched_[i];
    Unit& unit = units_[n];
    unit.touched = false;
    if (!unit.driver) continue;  // lost since
    if (const std::int64_t steps = unit.driver->start_step(now, horizon, ahead); steps > 0) {
      started += steps;
      if (handover_) send_computed(n, false, now);
    }
    if (handover_ && !unit.reads) collect_fetches(n, now);
    drivers_.set(n, unit.driver->next());
    if (unit.state == State::draining && unit.driver->drained()) drained(n, now);
  }
  touched_.clear();
  return started;
}

// As things are before anything happens at `now`.
void Cluster::sample_until(SimTime now) {
  if (occupancy_.next() > now) return;
  OccupancySample all;
  for (const Unit& unit : units_) {
    if (!unit.driver) continue;
    const Replica& replica = unit.driver->replica();
    all.in_use += replica.in_use();
    all.cached += replica.cached();
    all.running += static_cast<std::int64_t>(replica.running());
    all.waiting += static_cast<std::int64_t>(replica.waiting());
  }
  while (occupancy_.next() <= now) occupancy_.add(all);
}

bool Cluster::busy() const {
  return std::ranges::any_of(units_,
                             [](const Unit& unit) { return unit.driver && unit.driver->busy(); });
}

void Cluster::obey(const Control& control, SimTime now) {
  const std::size_t n = control.replica;
  Unit& unit = units_[n];
  settle(n, now);
  switch (control.order) {
    case Order::up:
      if (unit.epoch == control.detail) come_up(n, now);
      break;
    case Order::rank_back:
      if (!unit.driver || unit.rank_back[control.detail] != now) break;
      unit.rank_back[control.detail] = kSimStart;
      unit.driver->rank_is_back(control.detail);
      note(now, n, fmt::format("rank {} back", control.detail));
      break;
    case Order::slow_ends:
      std::erase_if(unit.slow, [&](const auto& slow) { return slow.first == control.detail; });
      if (unit.driver) unit.driver->set_slow(slow_ranks(n));
      note(now, n, "as fast as before");
      break;
    case Order::slow_link_ends:
      std::erase_if(unit.slow_links,
                    [&](const auto& slow) { return slow.first == control.detail; });
      set_slow_links(n, now);
      note(now, n, "links as fast as before");
      break;
    case Order::tier_back:
      end_lost_tier(n, control.detail, now);
      break;
    case Order::scale:
      scale(now);
      schedule(now + parts_.config.autoscale->interval, {Order::scale, 0, 0, {}});
      break;
    case Order::fault:
      strike(control.detail, n, now);
      break;
    case Order::random_fault:
      strike(random_faults_[control.detail].entry, n, now);
      draw_fault(control.detail, now);
      break;
    case Order::send_again:
      pass(now);
      --held_;
      send_now(n, control.held, now);
      break;
  }
}

}  // namespace v4cap
