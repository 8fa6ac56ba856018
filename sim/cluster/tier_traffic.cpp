#include "sim/cluster/tier_traffic.h"

#include <algorithm>
#include <set>
#include <utility>

namespace v4cap {

namespace {

std::size_t at(int tier) {
  return static_cast<std::size_t>(tier);
}

double utilisation(double moved_bytes, double offered_bytes) {
  return offered_bytes > 0 ? moved_bytes / offered_bytes : 0;
}

}  // namespace

TierTraffic::TierTraffic(Replica& replica, const TierLinks& links, SimTime since)
    : replica_(replica), spec_(links) {
  for (std::size_t tier = 0; tier < spec_.tiers.size(); ++tier) {
    const TierLink& link = spec_.tiers[tier];
    const std::string name = replica.rank(0).cache().tiers()->tier(tier).spec().name;
    read_.emplace_back();
    write_.emplace_back();
    for (std::size_t rank = 0; rank < (link.shared ? 1 : replica.size()); ++rank) {
      read_.back().push_back(links_.add({name + " read", link.read_bytes_per_s, link.latency}));
      write_.back().push_back(links_.add({name + " write", link.write_bytes_per_s, link.latency}));
    }
  }
  links_.advance(since, delivered_);
  reset();
}

std::vector<LinkId> TierTraffic::path(std::size_t rank, const TransferOrder& order) const {
  std::vector<LinkId> out;
  const auto& direction = order.load() ? read_ : write_;
  const int top = std::min(order.from, order.to), bottom = std::max(order.from, order.to);
  for (int tier = top + 1; tier <= bottom; ++tier) {
    const std::vector<LinkId>& links = direction[at(tier)];
    out.push_back(links[links.size() == 1 ? 0 : rank]);
  }
  return out;
}

void TierTraffic::collect(SimTime now) {
  for (std::size_t rank = 0; rank < replica_.size(); ++rank) {
    if (!replica_.rank(rank).tiers()->has_orders()) continue;
    orders_.clear();
    replica_.rank(rank).take_orders(orders_);
    for (const TransferOrder& order : orders_) {
      Transfer transfer{rank, order, {}, order.load()};
      Bytes bytes = order.bytes;
      if (order.load() && spec_.layers > 1) {
        bytes = Bytes{(order.bytes.value + spec_.layers - 1) / spec_.layers};
        transfer.rest = order.bytes - bytes;
      }
      transfers_.emplace(links_.start(path(rank, order), bytes, now), transfer);
    }
  }
}

void TierTraffic::advance(SimTime now) {
  links_.advance(now, delivered_);
  // Whoever is told may order more, which is collected later.
  for (const TransferId id : delivered_) delivered(id, now);
  delivered_.clear();
}

void TierTraffic::delivered(TransferId id, SimTime now) {
  const auto it = transfers_.find(id);
  const Transfer transfer = it->second;
  transfers_.erase(it);
  Engine& engine = replica_.rank(transfer.rank);
  if (transfer.rest > Bytes{0}) {
    const TransferId rest =
        links_.start(path(transfer.rank, transfer.order), transfer.rest, now, true);
    transfers_.emplace(rest, Transfer{transfer.rank, transfer.order, {}, false});
    open_.push_back({transfer.rank, transfer.order.tag, rest});
  } else {
    std::erase_if(open_, [id](const Open& open) { return open.transfer == id; });
    engine.performed(transfer.order.id, now);
  }
  if (transfer.first) engine.part_arrived(transfer.order);
}

SimTime TierTraffic::loads_end(std::span<const StepPlan* const> ranks, SimTime now) {
  SimTime end = now;
  std::erase_if(open_, [&](const Open& open) {
    const auto& pieces = ranks[open.rank]->pieces;
    const bool runs = std::ranges::any_of(
        pieces, [&](const StepPiece& piece) { return piece.request == open.slot; });
    if (runs) end = std::max(end, links_.end_if_nothing_changes(open.transfer));
    return runs;
  });
  return end;
}

LinkBooks TierTraffic::sum(const std::vector<LinkId>& links) const {
  LinkBooks sum;
  for (const LinkId link : links) {
    const LinkBooks books = links_.books(link);
    sum.moved_bytes += books.moved_bytes;
    sum.offered_bytes += books.offered_bytes;
  }
  return sum;
}

TierTraffic::Counted TierTraffic::counted() const {
  Counted out;
  for (std::size_t tier = 0; tier < spec_.tiers.size(); ++tier) {
    TierTotals totals;
    const std::size_t copies = spec_.tiers[tier].shared ? 1 : replica_.size();
    for (std::size_t rank = 0; rank < replica_.size(); ++rank) {
      const KvCache& cache = replica_.rank(rank).cache();
      totals.hit_tokens += cache.tokens_below()[tier];
      totals.hit_points += cache.points_below()[tier];
      if (rank >= copies) continue;
      const Tier& stored = cache.tiers()->tier(tier);
      const TierBooks& books = stored.books();
      totals.name = stored.spec().name;
      totals.policy = cache.tiers()->policy(tier).name();
      totals.capacity += stored.spec().capacity;
      totals.written += books.written;
      totals.read += books.read;
      totals.evicted += books.evicted;
      totals.expired += books.expired;
      totals.lost += books.lost;
      totals.refused += books.refused;
      totals.resident += books.resident;
      totals.peak += books.peak;
    }
    totals.drive = spec_.tiers[tier].drive;
    out.tiers.push_back(std::move(totals));
    out.read.push_back(sum(read_[tier]));
    out.write.push_back(sum(write_[tier]));
  }
  return out;
}

std::vector<TierTotals> TierTraffic::totals() const {
  Counted now = counted();
  for (std::size_t tier = 0; tier < now.tiers.size(); ++tier) {
    TierTotals& totals = now.tiers[tier];
    const TierTotals& before = before_.tiers[tier];
    totals.hit_tokens -= before.hit_tokens;
    totals.hit_points -= before.hit_points;
    totals.written -= before.written;
    totals.read -= before.read;
    totals.evicted -= before.evicted;
    totals.expired -= before.expired;
    totals.lost -= before.lost;
    totals.refused -= before.refused;
    const LinkBooks &read = now.read[tier], &read_before = before_.read[tier];
    const LinkBooks &write = now.write[tier], &write_before = before_.write[tier];
    totals.read_moved_bytes = read.moved_bytes - read_before.moved_bytes;
    totals.read_offered_bytes = read.offered_bytes - read_before.offered_bytes;
    totals.write_moved_bytes = write.moved_bytes - write_before.moved_bytes;
    totals.write_offered_bytes = write.offered_bytes - write_before.offered_bytes;
    totals.read_utilisation = utilisation(totals.read_moved_bytes, totals.read_offered_bytes);
    totals.write_utilisation = utilisation(totals.write_moved_bytes, totals.write_offered_bytes);
    if (lost_) {
      totals.lost += totals.resident;
      totals.resident = {};
    }
    V4CAP_CHECK(totals.read_utilisation <= 1 && totals.write_utilisation <= 1,
                "a link of tier " + totals.name + " moved more than it can");
  }
  return std::move(now.tiers);
}

void TierTraffic::set_slow(const std::vector<SlowLink>& slow, SimTime now) {
  for (std::size_t tier = 0; tier < spec_.tiers.size(); ++tier) {
    for (const auto* links : {&read_[tier], &write_[tier]}) {
      const std::string& name = links_.link(links->front()).name;
      double share = 1;
      for (const SlowLink& one : slow) {
        if (name == one.link || name.starts_with(one.link + ' '))
          share = std::min(share, one.share);
      }
      const double whole = links == &read_[tier] ? spec_.tiers[tier].read_bytes_per_s
                                                 : spec_.tiers[tier].write_bytes_per_s;
      for (const LinkId link : *links) {
        if (links_.link(link).bytes_per_s != share * whole)
          links_.set_bandwidth(link, share * whole, now);
      }
    }
  }
}

std::size_t TierTraffic::tier_named(const std::string& name) const {
  const TierStack& tiers = *replica_.rank(0).cache().tiers();
  for (std::size_t tier = 0; tier < tiers.size(); ++tier) {
    if (tiers.tier(tier).spec().name == name) return tier;
  }
  V4CAP_CHECK(false, "a fault on tier " + name + ", which is not there");
}

// The tier of each rank, or the one that they share.
std::vector<Tier*> TierTraffic::copies_of(std::size_t tier) {
  std::vector<Tier*> out;
  for (std::size_t rank = 0; rank < (spec_.tiers[tier].shared ? 1 : replica_.size()); ++rank) {
    out.push_back(&replica_.rank(rank).tiers()->tier(tier));
  }
  return out;
}

// What has arrived by now has; all else that was ordered is under way.
std::size_t TierTraffic::lose_tier(const std::string& name, SimTime now) {
  const std::size_t tier = tier_named(name);
  advance(now);
  collect(now);
  const std::size_t in_vain = break_off(static_cast<int>(tier), now);
  for (std::size_t rank = 0; rank < replica_.size(); ++rank) {
    replica_.rank(rank).tiers()->forget(static_cast<int>(tier));
  }
  for (Tier* copy : copies_of(tier)) copy->lose();
  return in_vain;
}

void TierTraffic::tier_is_back(const std::string& name) {
  for (Tier* copy : copies_of(tier_named(name))) copy->come_back();
}

std::size_t TierTraffic::break_off(int tier, SimTime now) {
  // Loads whose request may not run yet, and of these the ranks and requests that wait in vain.
  const auto awaited = [&](TransferId id, const Transfer& transfer) {
    if (!transfer.order.load() || transfer.first) return transfer.first;
    return std::ranges::find(open_, id, &Open::transfer) != open_.end() &&
           replica_.rank(transfer.rank).request(transfer.order.tag).state == RequestState::loading;
  };
  std::set<std::pair<std::size_t, std::uint32_t>> in_vain;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer.order.from == tier && awaited(id, transfer)) {
      in_vain.insert({transfer.rank, transfer.order.tag});
    }
  }
  const auto goes = [&](TransferId id, const Transfer& transfer) {
    const TransferOrder& order = transfer.order;
    if (!order.load()) return order.from == tier || order.to == tier;
    return awaited(id, transfer) && in_vain.contains({transfer.rank, order.tag});
  };
  std::vector<TransferId> gone;
  for (const auto& [id, transfer] : transfers_) {
    if (goes(id, transfer)) gone.push_back(id);
  }
  // Whoever was ordered last goes back to the queue first, so that it is the last there again.
  for (auto id = gone.rbegin(); id != gone.rend(); ++id) {
    links_.cancel(*id, now);
    const Transfer transfer = transfers_.at(*id);
    transfers_.erase(*id);
    std::erase_if(open_, [&](const Open& open) { return open.transfer == *id; });
    replica_.rank(transfer.rank).broken_off(transfer.order, now);
  }
  return in_vain.size();
}

void TierTraffic::lose_rank(std::size_t rank, SimTime now) {
  advance(now);
  collect(now);
  TierStack& tiers = *replica_.rank(rank).tiers();
  std::erase_if(open_, [&](const Open& open) { return open.rank == rank; });
  std::erase_if(transfers_, [&](const auto& one) {
    const auto& [id, transfer] = one;
    if (transfer.rank != rank) return false;
    links_.cancel(id, now);
    tiers.broken_off(transfer.order.id);
    return true;
  });
  tiers.gpu_lost();
  for (std::size_t tier = 0; tier < tiers.size(); ++tier) {
    if (spec_.tiers[tier].shared) continue;
    const bool there = tiers.tier(tier).is_there();
    tiers.tier(tier).lose();
    if (there) tiers.tier(tier).come_back();
  }
}

void TierTraffic::lose(SimTime now) {
  links_.advance(now, delivered_);
  links_.check();
  delivered_.clear();
  lost_ = true;
}

void TierTraffic::check_drained() const {
  V4CAP_CHECK(idle() && transfers_.empty(), "transfers are still under way");
  links_.check();
  for (std::size_t rank = 0; rank < replica_.size(); ++rank) {
    const TierStack& tiers = *replica_.rank(rank).cache().tiers();
    V4CAP_CHECK(tiers.open_orders() == 0, "orders were not performed");
    tiers.check();
  }
}

}  // namespace v4cap
