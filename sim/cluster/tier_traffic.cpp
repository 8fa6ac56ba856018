#include "sim/cluster/tier_traffic.h"

#include <algorithm>
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
      totals.evicted += totals.resident;
      totals.resident = {};
    }
    V4CAP_CHECK(totals.read_utilisation <= 1 && totals.write_utilisation <= 1,
                "a link of tier " + totals.name + " moved more than it can");
  }
  return std::move(now.tiers);
}

void TierTraffic::lose(SimTime now) {
  links_.advance(now, delivered_);
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
