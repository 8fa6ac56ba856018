// What replicas add up to, over all their lives.
#include <algorithm>
#include <utility>

#include "sim/cluster/cluster.h"

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

void Cluster::note(SimTime now, std::size_t n, std::string what, bool disturbs, std::int64_t lost) {
  result_.events.push_back({now, n, std::move(what), disturbs, lost});
}

ReplicaDriver::Samples Cluster::samples(const Replica& replica) const {
  return {samples_of_each(units_.size()), samples_of_each(units_.size() * replica.size())};
}

// What the driver has counted; it goes.
void Cluster::keep_life(Unit& unit) {
  add_life(unit.totals, unit.driver->totals());
  add(unit.integrals, unit.driver->integrals());
  unit.events += unit.driver->events();
  take_life(unit);
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
