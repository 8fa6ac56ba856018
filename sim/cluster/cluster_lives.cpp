// The life of a replica, from its start to when it stops or is lost, and who decides how many there are.
#include <algorithm>
#include <span>
#include <utility>

#include "sim/cluster/cluster.h"

namespace v4cap {

// --- the life of a replica ---

void Cluster::set_state(std::size_t n, State state, SimTime now) {
  Unit& unit = units_[n];
  const auto serves = [](State s) { return s == State::up || s == State::draining; };
  if (serves(unit.state) && !serves(state)) unit.result.up += now - unit.up_since;
  if (!serves(unit.state) && serves(state)) unit.up_since = now;
  if (unit.state == State::stopped) unit.held_since = now;
  if (state == State::stopped) unit.result.held += now - unit.held_since;
  unit.state = state;
  up_.clear();
  prefill_up_.clear();
  draining_ = 0;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    draining_ += units_[i].state == State::draining ? 1 : 0;
    if (units_[i].state != State::up) continue;
    (units_[i].reads ? prefill_up_ : up_).push_back({i, units_[i].driver.get()});
  }
  if (unit.reads && prefill_up_.empty()) wait_without_memory(now);
}

void Cluster::come_back(std::size_t n, State meanwhile, SimTime back, SimTime now) {
  Unit& unit = units_[n];
  unit.back = back;
  ++unit.epoch;
  set_state(n, meanwhile, now);
  schedule(back, {Order::up, n, unit.epoch, {}});
}

// A replica and its driver, empty.
void Cluster::start(std::size_t n, SimTime now) {
  Unit& unit = units_[n];
  unit.own = unit.reads ? parts_.prefill->make_replica() : parts_.make_replica();
  unit.rank_back.assign(unit.own->size(), kSimStart);
  if (parts_.prefill && !unit.reads) {
    const TransferConfig& transfer = parts_.config.prefill->transfer;
    for (std::size_t rank = 0; rank < unit.own->size(); ++rank) {
      unit.own->rank(rank).set_fetch_rules({transfer.reuse, transfer.room});
    }
  }
  const CostModel& cost = unit.reads ? *parts_.prefill->cost : *parts_.cost;
  const HostRules& host = unit.reads ? parts_.prefill->host : host_;
  unit.driver = std::make_unique<ReplicaDriver>(*unit.own, cost, host, samples(*unit.own), now);
  unit.driver->begin(now);
  unit.driver->set_slow(slow_ranks(n));
  if (!unit.slow_links.empty()) set_slow_links(n, now);
  for (const auto& [fault, tier] : unit.lost_tiers) unit.driver->lose_tier(tier, now);
  set_state(n, State::up, now);
}

void Cluster::come_up(std::size_t n, SimTime now) {
  start(n, now);
  note(now, n, "up");
  pass(now);
  std::vector<Held> pinned = std::move(units_[n].pinned), parked = std::move(parked_);
  units_[n].pinned.clear();
  parked_.clear();
  held_ -= static_cast<std::int64_t>(pinned.size() + parked.size());
  for (const Held& held : pinned) send_now(n, held, now);
  for (const Held& held : parked) place(held, now);
  if (handover_) go_on(handover_->requests(), now);
}

void Cluster::retire(std::size_t n, SimTime now, std::vector<LostRequest>& lost) {
  Unit& unit = units_[n];
  unit.result.lost += unit.driver->lose(now, lost);
  keep_life(unit);
  drivers_.set(n, {});
  unit.driver.reset();
  unit.own.reset();
}

void Cluster::drained(std::size_t n, SimTime now) {
  std::vector<LostRequest> lost;
  retire(n, now, lost);
  V4CAP_CHECK(lost.empty(), "a replica that has drained had requests");
  Unit& unit = units_[n];
  if (std::exchange(unit.restarts, false)) {
    note(now, n, "down, planned", true);
    return come_back(n, State::down, now + unit.down_for, now);
  }
  note(now, n, "stopped");
  set_state(n, State::stopped, now);
}

// --- autoscaling ---

std::size_t Cluster::count(State state) const {
  return static_cast<std::size_t>(
      std::ranges::count(std::span(units_).first(decoders_), state, &Unit::state));
}

void Cluster::scale(SimTime now) {
  const AutoscaleConfig& rules = *parts_.config.autoscale;
  ClusterLoad load{count(State::up), count(State::starting), 0, static_cast<std::size_t>(held_)};
  for (const Unit& unit : std::span(units_).first(decoders_)) {
    if (!unit.driver) continue;
    load.running += unit.driver->replica().running();
    load.waiting += unit.driver->waiting();
  }
  const std::size_t wanted = std::clamp(scaling_->wanted(load), static_cast<std::size_t>(rules.min),
                                        static_cast<std::size_t>(rules.max));
  const std::size_t there = load.up + load.starting;
  if (wanted >= there) {
    fewer_since_ = kNever;
    if (wanted > there) add_replicas(wanted - there, now);
    return;
  }
  if (fewer_since_ == kNever) {
    fewer_since_ = now;
    most_wanted_ = 0;
  }
  most_wanted_ = std::max(most_wanted_, wanted);
  if (now - fewer_since_ < rules.hold) return;
  fewer_since_ = kNever;
  drop_replicas(there - std::min(most_wanted_, there), now);
}

void Cluster::add_replicas(std::size_t more, SimTime now) {
  // Whoever is about to stop has a warm cache and costs no start.
  for (std::size_t n = 0; n < decoders_ && more > 0; ++n) {
    if (units_[n].state != State::draining || units_[n].restarts) continue;
    note(now, n, "stays");
    set_state(n, State::up, now);
    --more;
  }
  for (std::size_t n = 0; n < decoders_ && more > 0; ++n) {
    if (units_[n].state != State::stopped) continue;
    note(now, n, "starts");
    come_back(n, State::starting, now + parts_.config.autoscale->start_up, now);
    --more;
  }
}

void Cluster::drop_replicas(std::size_t fewer, SimTime now) {
  for (std::size_t n = decoders_; n-- > 0 && fewer > 0;) {
    if (units_[n].state != State::starting) continue;
    ++units_[n].epoch;
    note(now, n, "stopped");
    set_state(n, State::stopped, now);
    --fewer;
  }
  for (std::size_t n = decoders_; n-- > 0 && fewer > 0;) {
    if (units_[n].state != State::up) continue;
    note(now, n, "drains to stop");
    set_state(n, State::draining, now);
    touch(n);
    --fewer;
  }
}

}  // namespace v4cap
