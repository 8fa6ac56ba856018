// What faults do to replicas, their ranks, links and tiers, and what becomes of the requests that they had.
#include <fmt/format.h>

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <string>

#include "sim/cluster/cluster.h"

namespace v4cap {

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

}  // namespace v4cap
