// Replicas that go on apart, each with the requests that were dealt to it, until cluster and
// replicas meet again; meanwhile the books of those that ended before are kept. What a replica does
// depends on nothing outside, records are put in order by whoever gets them and samples are sums of
// whole numbers: neither the number of threads nor which of them takes which replica changes a byte.
#include <algorithm>
#include <atomic>
#include <utility>

#include "sim/cluster/cluster.h"
#include "sim/core/parallel.h"

namespace v4cap {

SimTime Cluster::apart_until() const {
  // Whoever drains stops, or comes back, as soon as it is empty.
  if (one_ || !parts_.apart || !begun_ || handover_ || up_.empty() || draining_ > 0 ||
      router_->looks() || host_.explained != nullptr || host_.step_timed || host_.idle_until) {
    return kSimStart;
  }
  const SimTime sampled = occupancy_.after(occupancy_.room() - 1);
  return queue_.empty() ? sampled : std::min(sampled, queue_.top().at);
}

void Cluster::deal(const RequestSpec& request, SimTime at) {
  const std::size_t chosen = router_->choose(request, up_);
  V4CAP_CHECK(chosen < up_.size(), "a router chose replica " + std::to_string(chosen));
  units_[up_[chosen].number].dealt.push_back({request.id, at});
}

// Whoever is free takes the next replica.
void Cluster::on_lanes(const std::function<void()>& meanwhile,
                       const std::function<void(std::size_t n, Lane& lane)>& work) {
  if (lanes_.empty()) lanes_.emplace_back();
  std::atomic<std::size_t> next{0};
  parallel_for(
      lanes_.size(),
      [&](std::size_t lane) {
        // What else there is comes first: it is longer than a replica's part, and the others fill up
        // what is left.
        for (std::size_t i = next++; i <= units_.size(); i = next++) {
          if (i == 0) {
            meanwhile();
          } else if (units_[i - 1].driver) {
            work(i - 1, lanes_[lane]);
          }
        }
      },
      static_cast<unsigned>(lanes_.size()));
}

void Cluster::advance(SimTime until, bool more_comes, const std::function<void()>& meanwhile,
                      std::vector<std::vector<RequestRecord>>& ended) {
  V4CAP_CHECK(until <= apart_until() && touched_.empty(), "replicas go on apart that may not");
  const std::size_t lanes =
      parts_.make_cost ? std::clamp<std::size_t>(parts_.threads, 1, units_.size()) : 1;
  while (lanes_.size() < lanes) {
    lanes_.emplace_back();
    if (lanes_.size() > 1) lanes_.back().cost = parts_.make_cost();
  }
  std::size_t samples = 0;
  while (occupancy_.after(samples) <= until) ++samples;
  for (Lane& lane : lanes_) {
    lane.last = kSimStart;
    lane.samples.assign(samples, {});
  }
  on_lanes(meanwhile, [&](std::size_t n, Lane& lane) { advance(n, until, lane); });

  SimTime last = kSimStart;
  ended.resize(lanes_.size());
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    std::swap(ended[lane], lanes_[lane].ended);
    last = std::max(last, lanes_[lane].last);
  }
  for (std::size_t n = 0; n < units_.size(); ++n) {
    units_[n].dealt.clear();
    if (units_[n].driver) drivers_.set(n, units_[n].driver->next());
  }
  // Handled in order of time the run's last event would be the last to look at the time line.
  if (more_comes || has_work()) last = until;
  for (std::size_t i = 0; i < samples && occupancy_.next() <= last; ++i) {
    OccupancySample all;
    for (const Lane& lane : lanes_) {
      all.in_use += lane.samples[i].in_use;
      all.cached += lane.samples[i].cached;
      all.running += lane.samples[i].running;
      all.waiting += lane.samples[i].waiting;
    }
    occupancy_.add(all);
  }
}

// At one instant in the order that all replicas together have: EventKind.
void Cluster::advance(std::size_t n, SimTime until, Lane& lane) const {
  const Unit& unit = units_[n];
  ReplicaDriver& driver = *unit.driver;
  const Replica& replica = driver.replica();
  driver.use(lane.cost ? *lane.cost : *parts_.cost);
  std::size_t sampled = 0, taken = 0;
  const auto sample_until = [&](SimTime now) {
    if (sampled == lane.samples.size() || occupancy_.after(sampled) > now) return;
    const KindBytes in_use = replica.in_use(), cached = replica.cached();
    const auto running = static_cast<std::int64_t>(replica.running());
    const auto waiting = static_cast<std::int64_t>(replica.waiting());
    for (; sampled < lane.samples.size() && occupancy_.after(sampled) <= now; ++sampled) {
      OccupancySample& all = lane.samples[sampled];
      all.in_use += in_use;
      all.cached += cached;
      all.running += running;
      all.waiting += waiting;
    }
  };
  const auto arrival = [&] { return taken == unit.dealt.size() ? kNever : unit.dealt[taken].sent; };
  const Tokens block = replica.block();
  const std::size_t before = lane.ended.size();
  for (;;) {
    EarliestOf::Next own = driver.next();
    const SimTime now = std::min(own.at, arrival());
    if (now >= until) break;
    sample_until(now);
    lane.last = std::max(lane.last, now);
    do {
      const EarliestOf::Next outside{arrival(), static_cast<std::uint8_t>(EventKind::arrival)};
      if (EarliestOf::comes_before(own, outside)) {
        driver.handle(now, lane.ended);
      } else {
        driver.submit(spec_of_(unit.dealt[taken++].request, block, lane.ids), now, now, lane.ended);
      }
      own = driver.next();
    } while (std::min(own.at, arrival()) == now);
    driver.start_step(now, std::min(arrival(), until));
  }
  V4CAP_CHECK(taken == unit.dealt.size(), "a request was dealt that comes later");
  sample_until(until);
  driver.use(*parts_.cost);
  tag_ended(n, lane.ended, before);
}

}  // namespace v4cap
