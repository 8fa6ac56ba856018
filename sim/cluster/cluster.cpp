#include "sim/cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <span>
#include <string>
#include <utility>

namespace v4cap {

namespace {

// Of one replica, whose memory is the same in all its lives.
void add_life(StepTotals& all, const StepTotals& life) {
  KindBytes peak = life.kv_peak;
  for (std::size_t k = 0; k < kCacheKinds; ++k) {
    peak.bytes[k] = std::max(peak.bytes[k], all.kv_peak.bytes[k]);
  }
  std::vector<Bytes> tier_peaks;
  for (std::size_t i = 0; i < all.tiers.size(); ++i) {
    tier_peaks.push_back(std::max(all.tiers[i].peak, life.tiers[i].peak));
  }
  all += life;
  all.kv_peak = peak;
  all.kv_capacity = life.kv_capacity;
  all.kv_caches = life.kv_caches;
  for (std::size_t i = 0; i < tier_peaks.size(); ++i) {
    all.tiers[i].peak = tier_peaks[i];
    all.tiers[i].capacity = life.tiers[i].capacity;
  }
}

void add(ReplicaDriver::Integrals& all, const ReplicaDriver::Integrals& more) {
  all.waiting_ns += more.waiting_ns;
  all.running_ns += more.running_ns;
  all.decoding_ns += more.decoding_ns;
}

}  // namespace

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

// --- requests of what was lost ---

void Cluster::send_again(std::size_t n, const std::vector<LostRequest>& lost, SimTime now) {
  const ClusterConfig& config = parts_.config;
  ReplicaResult& result = units_[n].result;
  for (const LostRequest& request : lost) {
    ++result.lost_requests;
    result.lost_tokens += request.computed;
    std::int32_t& tries = retries_[request.id];
    if (tries >= config.retry_limit) {
      RequestRecord& record = ended_->emplace_back();
      record.id = request.id;
      record.end = RequestEnd::failed;
      record.arrival = request.arrival;
      record.finished = now;
      record.replica = static_cast<std::int32_t>(n);
      record.retries = tries;
      continue;
    }
    ++tries;
    const Held held{request.id, request.arrival};
    if (config.retry_delay == Duration{0}) {
      send_now(n, held, now);
      continue;
    }
    pass(now);
    ++held_;
    schedule(now + config.retry_delay, {Order::send_again, n, 0, held});
  }
}

void Cluster::send_now(std::size_t n, const Held& held, SimTime now) {
  Unit& unit = units_[n];
  if (parts_.config.retry_on_return && unit.state == State::up) {
    const Tokens block = unit.driver->replica().block();
    return give(n, spec_of_(held.request, block, ids_), held.sent, now);
  }
  const bool returns =
      unit.state == State::down || (unit.state == State::draining && unit.restarts);
  if (!parts_.config.retry_on_return || !returns) return place(held, now);
  pass(now);
  ++held_;
  unit.pinned.push_back(held);
}

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
  add_life(unit.totals, unit.driver->totals());
  add(unit.integrals, unit.driver->integrals());
  unit.events += unit.driver->events();
  take_life(unit);
  drivers_.set(n, {});
  unit.driver.reset();
  unit.own.reset();
}

ReplicaDriver::Samples Cluster::samples(const Replica& replica) const {
  return {samples_of_each(units_.size()), samples_of_each(units_.size() * replica.size())};
}

// Time lines of the driver, which go on where those of its earlier lives ended.
void Cluster::take_life(Unit& unit) {
  const ReplicaDriver::Samples limits = samples(unit.driver->replica());
  constexpr std::size_t kLives = 4;  // as long as the longest line of one life
  append_life(unit.result.occupancy, unit.driver->take_occupancy(), kLives * limits.all);
  const auto ranks = unit.driver->take_rank_occupancy();
  unit.result.ranks.resize(ranks.size());
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    append_life(unit.result.ranks[rank], ranks[rank], kLives * limits.rank);
  }
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

void Cluster::lose_replica(std::size_t n, SimTime back, SimTime now) {
  Unit& unit = units_[n];
  if (unit.state == State::stopped) return;
  if (unit.state == State::down && back <= unit.back) return;
  const bool stops = unit.state == State::draining && !unit.restarts;
  unit.restarts = false;
  std::vector<LostRequest> lost;
  if (unit.driver) retire(n, now, lost);
  const std::vector<std::uint32_t> kept = keep_read(n, lost, now);
  note(now, n, "lost", true, static_cast<std::int64_t>(lost.size()));
  if (stops) {
    note(now, n, "stopped");
    set_state(n, State::stopped, now);
  } else {
    come_back(n, State::down, back, now);
  }
  go_on(kept, now);
  send_again(n, lost, now);
}

void Cluster::lose_rank(std::size_t n, std::size_t rank, SimTime back, SimTime now) {
  Unit& unit = units_[n];
  if (!unit.driver) return;
  const Replica& replica = unit.driver->replica();
  V4CAP_CHECK(rank < replica.size(), "a fault on a rank that does not exist");
  if (back <= unit.rank_back[rank]) return;
  const bool there = replica.has_rank(rank);
  if (there && replica.ranks_there() == 1) return lose_replica(n, back, now);
  unit.rank_back[rank] = back;
  schedule(back, {Order::rank_back, n, rank, {}});
  if (!there) return;
  std::vector<LostRequest> lost;
  unit.result.lost += unit.driver->lose_rank(rank, now, lost);
  const std::vector<std::uint32_t> kept = keep_read(n, lost, now);
  note(now, n, fmt::format("rank {} lost", rank), true, static_cast<std::int64_t>(lost.size()));
  touch(n);
  go_on(kept, now);
  send_again(n, lost, now);
}

std::vector<SlowRank> Cluster::slow_ranks(std::size_t n) const {
  std::vector<SlowRank> out;
  for (const auto& [fault, slow] : units_[n].slow) out.push_back(slow);
  return out;
}

void Cluster::slow_rank(std::size_t n, std::size_t rank, double factor, SimTime until,
                        SimTime now) {
  Unit& unit = units_[n];
  if (!unit.driver) return;
  unit.slow.emplace_back(faults_, SlowRank{rank, factor});
  unit.driver->set_slow(slow_ranks(n));
  schedule(until, {Order::slow_ends, n, faults_++, {}});
  note(now, n, fmt::format("rank {} slow, {} times as long", rank, factor), true);
}

void Cluster::slow_link(std::size_t n, const std::string& link, double share, SimTime until,
                        SimTime now) {
  Unit& unit = units_[n];
  if (!unit.driver) return;
  unit.slow_links.emplace_back(faults_, SlowLink{link, share});
  set_slow_links(n, now);
  schedule(until, {Order::slow_link_ends, n, faults_++, {}});
  note(now, n, fmt::format("{} links slow, {} of their bandwidth", link, share), true);
}

void Cluster::set_slow_links(std::size_t n, SimTime now) {
  Unit& unit = units_[n];
  std::vector<SlowLink> slow;
  double transfer = 1;
  for (const auto& [fault, link] : unit.slow_links) {
    if (link.link == kTransferLinks) {
      transfer = std::min(transfer, link.share);
    } else {
      slow.push_back(link);
    }
  }
  // Networks outlive the replica, and nobody sends to it while it is down.
  if (handover_) handover_->set_share(n, transfer, now);
  if (!unit.driver) return;
  unit.driver->set_slow_links(slow, now);
  touch(n);
}

void Cluster::lose_tier(std::size_t n, const std::string& tier, SimTime back, SimTime now) {
  Unit& unit = units_[n];
  if (!unit.driver) return;
  unit.lost_tiers.emplace_back(faults_, tier);
  const std::size_t in_vain = unit.driver->lose_tier(tier, now);
  schedule(back, {Order::tier_back, n, faults_++, {}});
  const std::string loads = in_vain > 0 ? fmt::format(", {} loads broken off", in_vain) : "";
  note(now, n, fmt::format("tier {} lost{}", tier, loads), true);
  touch(n);
}

// It is back when the last fault that took it has ended.
void Cluster::end_lost_tier(std::size_t n, std::uint64_t fault, SimTime now) {
  Unit& unit = units_[n];
  const auto it =
      std::ranges::find(unit.lost_tiers, fault, [](const auto& lost) { return lost.first; });
  const std::string tier = it->second;
  unit.lost_tiers.erase(it);
  const auto names = [&](const auto& lost) { return lost.second == tier; };
  if (std::ranges::any_of(unit.lost_tiers, names)) return;
  if (unit.driver) unit.driver->tier_is_back(tier);
  note(now, n, fmt::format("tier {} back", tier));
}

void Cluster::restart(std::size_t n, Duration down, SimTime now) {
  Unit& unit = units_[n];
  if (unit.state != State::up) return;
  unit.restarts = true;
  unit.down_for = down;
  note(now, n, "drains to restart");
  set_state(n, State::draining, now);
  touch(n);
}

void Cluster::strike(std::size_t entry, std::size_t replica, SimTime now) {
  const FaultConfig& config = parts_.config.faults[entry];
  const FaultKind* kind = FaultKinds::find(config.kind);
  V4CAP_CHECK(kind != nullptr && replica < units_.size(), "a fault that cannot strike");
  settle(replica, now);
  kind->strike(*this,
               {replica, static_cast<std::size_t>(config.rank), config.factor, config.place,
                config.share, config.lasts},
               now);
}

// Counted from the end of the one before, which lies at `now`.
void Cluster::draw_fault(std::size_t i, SimTime now) {
  RandomFault& process = random_faults_[i];
  const FaultConfig& config = parts_.config.faults[process.entry];
  boost::random::exponential_distribution<double> gap_s(1 / to_seconds(config.mtbf));
  const Duration gap = duration_from_seconds(gap_s(process.random));
  const Duration before = process.struck ? config.lasts : Duration{0};
  process.struck = true;
  schedule(now + before + gap, {Order::random_fault, process.replica, i, {}});
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

// --- what it adds up to ---

void Cluster::note(SimTime now, std::size_t n, std::string what, bool disturbs, std::int64_t lost) {
  result_.events.push_back({now, n, std::move(what), disturbs, lost});
}

void Cluster::begin_measuring(StepLedgers* explained) {
  host_.explained = explained;
  if (parts_.prefill) parts_.prefill->host.explained = explained;
  if (handover_) handover_->reset();
  for (Unit& unit : units_) {
    unit.totals = {};
    unit.integrals = {};
    unit.events = 0;
    unit.result = {};
    if (unit.driver) unit.driver->begin_measuring(explained);
  }
  events_before_ = static_cast<std::int64_t>(queue_.scheduled());
  held_ns_ = 0;
  occupancy_.restart();
  result_ = {};
}

StepTotals Cluster::totals_of(const Unit& unit) const {
  StepTotals out = unit.totals;
  if (unit.driver) add_life(out, unit.driver->totals());
  return out;
}

StepTotals Cluster::totals() const {
  StepTotals out;
  for (const Unit& unit : units_) out += totals_of(unit);
  return out;
}

std::int64_t Cluster::events() const {
  std::int64_t out = static_cast<std::int64_t>(queue_.scheduled()) - events_before_;
  for (const Unit& unit : units_) {
    out += unit.events + (unit.driver ? unit.driver->events() : 0);
  }
  return out;
}

ReplicaDriver::Integrals Cluster::integrals() const {
  ReplicaDriver::Integrals out;
  out.waiting_ns = held_ns_;
  for (const Unit& unit : units_) {
    add(out, unit.integrals);
    if (unit.driver) add(out, unit.driver->integrals());
  }
  return out;
}

std::vector<OccupancySample> Cluster::take_occupancy() {
  return one_ ? units_.front().driver->take_occupancy() : occupancy_.take();
}

std::vector<std::vector<OccupancySample>> Cluster::take_rank_occupancy() {
  if (!one_) return {};
  return units_.front().driver->take_rank_occupancy();
}

ClusterResult Cluster::take_result(SimTime end) {
  ClusterResult out = std::move(result_);
  out.window = parts_.config.window;
  for (std::size_t n = 0; n < units_.size(); ++n) {
    Unit& unit = units_[n];
    // A replica may have been lost or started after the last request ended.
    const auto since = [&](SimTime from) { return std::max(end - from, Duration{0}); };
    ReplicaResult& result = unit.result;
    if (unit.state == State::up || unit.state == State::draining) {
      result.up += since(unit.up_since);
    }
    if (unit.state != State::stopped) result.held += since(unit.held_since);
    result.steps = totals_of(unit);
    result.reads_prompts = unit.reads;
    if (parts_.prefill) {
      result.gpus = unit.reads ? parts_.prefill->gpus : parts_.prefill->decode_gpus;
    }
    if (unit.driver) take_life(unit);
    out.replicas.push_back(std::move(result));
  }
  if (handover_) {
    handover_->idle_until(end);
    out.transfer = handover_->result();
  }
  return out;
}

std::shared_ptr<ClusterDigest> Cluster::make_digest(bool in_order) const {
  if (one_) return nullptr;
  const bool disturbed = !parts_.config.faults.empty();
  return std::make_shared<ClusterDigest>(
      ClusterDigest::Rules{units_.size(), parts_.config.window, in_order, disturbed});
}

void Cluster::check_drained(const std::function<void()>& meanwhile) {
  V4CAP_CHECK(held_ == 0, "requests wait for a replica that does not come");
  V4CAP_CHECK(prompts_.empty(), "prompts were read for requests that never ended");
  if (handover_) handover_->check_drained();
  on_lanes(meanwhile, [&](std::size_t n, Lane&) { units_[n].driver->check_drained(); });
}

}  // namespace v4cap
