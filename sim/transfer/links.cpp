#include "sim/transfer/links.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "sim/core/error.h"

namespace v4cap {

namespace {

constexpr double kSharesPerByte = 1099511627776.0;  // 2^40

Int128 shares_of(Bytes bytes) {
  return static_cast<Int128>(bytes.value) << 40;
}

double bytes_of(Int128 shares) {
  return static_cast<double>(shares) / kSharesPerByte;
}

std::int64_t rate_of(const std::string& name, double bytes_per_s) {
  V4CAP_CHECK(bytes_per_s >= kLeastBandwidth && bytes_per_s <= kMostBandwidth,
              "bandwidth of link " + name);
  const double rate = bytes_per_s * kSharesPerByte / 1e9;
  return static_cast<std::int64_t>(std::floor(rate));
}

}  // namespace

LinkId Links::add(LinkSpec spec) {
  V4CAP_CHECK(spec.latency >= Duration{0}, "latency of link " + spec.name);
  Link link;
  link.rate = rate_of(spec.name, spec.bytes_per_s);
  // What it could have moved is counted from kSimStart, whenever it comes.
  link.offered = static_cast<Int128>(link.rate) * (now_ - kSimStart).count();
  link.spec = std::move(spec);
  links_.push_back(std::move(link));
  return static_cast<LinkId>(links_.size() - 1);
}

TransferId Links::start(std::span<const LinkId> path, Bytes bytes, SimTime now, bool follows) {
  V4CAP_CHECK(!path.empty() && bytes >= Bytes{0}, "a transfer of nothing or over no link");
  advance(now, early_);
  Transfer transfer{
      next_id_++, std::vector<LinkId>(path.begin(), path.end()), bytes, now, shares_of(bytes), 0};
  for (std::size_t i = 0; i < path.size(); ++i) {
    V4CAP_CHECK(path[i] < links_.size(), "a transfer over a link that is not there");
    V4CAP_CHECK(std::find(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i), path[i]) ==
                    path.begin() + static_cast<std::ptrdiff_t>(i),
                "a transfer goes twice over link " + links_[path[i]].spec.name);
    Link& link = links_[path[i]];
    if (!follows) transfer.moves_at += link.spec.latency;
    ++link.transfers;
    link.asked += bytes;
  }
  waiting_.push_back(std::move(transfer));
  return waiting_.back().id;
}

bool Links::under_way(TransferId id) const {
  const auto is_it = [&](const Transfer& transfer) { return transfer.id == id; };
  return std::ranges::any_of(waiting_, is_it) || std::ranges::any_of(moving_, is_it);
}

SimTime Links::end_if_nothing_changes(TransferId id) const {
  for (const Transfer& transfer : moving_) {
    if (transfer.id == id) return end_of(transfer);
  }
  for (const Transfer& transfer : waiting_) {
    if (transfer.id != id) continue;
    // It has no share yet; alone it would have the least of its links.
    std::int64_t rate = std::numeric_limits<std::int64_t>::max();
    for (const LinkId link : transfer.path) rate = std::min(rate, links_[link].rate);
    return transfer.moves_at +
           Duration{static_cast<std::int64_t>((transfer.left + rate - 1) / rate)};
  }
  V4CAP_CHECK(false, "a transfer that is not under way has no end");
}

void Links::cancel(TransferId id, SimTime now) {
  advance(now, early_);
  const auto is_it = [&](const Transfer& transfer) { return transfer.id == id; };
  for (std::vector<Transfer>* list : {&waiting_, &moving_}) {
    const auto found = std::ranges::find_if(*list, is_it);
    if (found == list->end()) continue;
    for (const LinkId link : found->path) links_[link].cancelled += found->bytes;
    list->erase(found);
    share();
    return;
  }
  V4CAP_CHECK(false, "a transfer that is not under way was cancelled");
}

void Links::set_bandwidth(LinkId id, double bytes_per_s, SimTime now) {
  advance(now, early_);
  Link& link = links_[id];
  link.rate = rate_of(link.spec.name, bytes_per_s);
  link.spec.bytes_per_s = bytes_per_s;
  share();
}

// With nothing left it ends now, whatever its share.
SimTime Links::end_of(const Transfer& transfer) const {
  if (transfer.left == 0) return now_;
  if (transfer.rate == 0) return SimTime::max();
  const Int128 ns = (transfer.left + transfer.rate - 1) / transfer.rate;
  const Int128 most = (SimTime::max() - now_).count();
  return now_ + Duration{static_cast<std::int64_t>(std::min(ns, most))};
}

std::optional<SimTime> Links::next_change() const {
  if (!early_.empty()) return now_;
  if (under_way() == 0) return std::nullopt;
  SimTime next = SimTime::max();
  for (const Transfer& transfer : waiting_) next = std::min(next, transfer.moves_at);
  for (const Transfer& transfer : moving_) next = std::min(next, end_of(transfer));
  return next;
}

void Links::advance(SimTime now, std::vector<TransferId>& delivered) {
  V4CAP_CHECK(now >= now_, "links were sent back in time");
  if (&delivered != &early_ && !early_.empty()) {
    delivered.insert(delivered.end(), early_.begin(), early_.end());
    early_.clear();
  }
  while (under_way() > 0) {
    SimTime next = now;
    bool change = false;
    for (const Transfer& transfer : waiting_) {
      change = change || transfer.moves_at <= now;
      next = std::min(next, transfer.moves_at);
    }
    for (const Transfer& transfer : moving_) {
      const SimTime end = end_of(transfer);
      change = change || end <= now;
      next = std::min(next, end);
    }
    if (!change) break;
    go_to(next);
    std::erase_if(moving_, [&](const Transfer& transfer) {
      if (transfer.left > 0) return false;
      for (const LinkId link : transfer.path) links_[link].delivered += transfer.bytes;
      delivered.push_back(transfer.id);
      return true;
    });
    const auto comes = [next](const Transfer& transfer) { return transfer.moves_at <= next; };
    std::ranges::copy_if(waiting_, std::back_inserter(moving_), comes);
    std::erase_if(waiting_, comes);
    share();
  }
  go_to(now);
}

// Bytes move at their present rates; nothing changes before `at`.
void Links::go_to(SimTime at) {
  const std::int64_t ns = (at - now_).count();
  if (ns == 0) return;
  for (Transfer& transfer : moving_) {
    if (transfer.rate == 0) continue;
    const Int128 moved = std::min(transfer.left, static_cast<Int128>(transfer.rate) * ns);
    transfer.left -= moved;
    for (const LinkId link : transfer.path) links_[link].moved += moved;
  }
  for (Link& link : links_) {
    link.offered += static_cast<Int128>(link.rate) * ns;
    if (link.taken > 0) link.busy += Duration{ns};
    V4CAP_CHECK(link.moved <= link.offered, "link " + link.spec.name + " moved more than it can");
  }
  now_ = at;
}

// Progressive filling: the link with the least for each of those that still want some gives it to
// them, and what they take elsewhere is gone there, until everybody has a share.
void Links::share() {
  left_of_link_.resize(links_.size());
  users_of_link_.assign(links_.size(), 0);
  for (std::size_t i = 0; i < links_.size(); ++i) {
    left_of_link_[i] = links_[i].rate;
    links_[i].taken = 0;
  }
  constexpr std::int64_t kNoRateYet = -1;
  std::size_t without = 0;
  std::vector<bool> in_service(links_.size(), false);
  for (Transfer& transfer : moving_) {
    bool first = true;
    for (const LinkId link : transfer.path) {
      if (links_[link].spec.sharing != LinkSharing::one_at_a_time) continue;
      first = first && !in_service[link];
      in_service[link] = true;
    }
    transfer.rate = first ? kNoRateYet : 0;
    if (!first) continue;
    ++without;
    for (const LinkId link : transfer.path) ++users_of_link_[link];
  }
  while (without > 0) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    LinkId narrow = 0;
    for (LinkId link = 0; link < links_.size(); ++link) {
      if (users_of_link_[link] == 0) continue;
      const std::int64_t each = left_of_link_[link] / users_of_link_[link];
      if (each >= least) continue;
      least = each;
      narrow = link;
    }
    V4CAP_CHECK(least > 0, "nothing is left of link " + links_[narrow].spec.name);
    for (Transfer& transfer : moving_) {
      if (transfer.rate != kNoRateYet ||
          std::ranges::find(transfer.path, narrow) == transfer.path.end())
        continue;
      transfer.rate = least;
      --without;
      for (const LinkId link : transfer.path) {
        left_of_link_[link] -= least;
        --users_of_link_[link];
        links_[link].taken += least;
      }
    }
  }
  for (const Link& link : links_) {
    V4CAP_CHECK(link.taken <= link.rate, "more than all of link " + link.spec.name + " was given");
  }
}

LinkBooks Links::books(LinkId id) const {
  const Link& link = links_[id];
  LinkBooks books;
  books.transfers = link.transfers;
  books.asked = link.asked;
  books.delivered = link.delivered;
  books.cancelled = link.cancelled;
  books.busy = link.busy;
  books.moved_bytes = bytes_of(link.moved);
  books.offered_bytes = bytes_of(link.offered);
  return books;
}

void Links::check() const {
  std::vector<Bytes> open(links_.size());
  for (const std::vector<Transfer>* list : {&waiting_, &moving_}) {
    for (const Transfer& transfer : *list) {
      for (const LinkId link : transfer.path) open[link] += transfer.bytes;
    }
  }
  for (std::size_t i = 0; i < links_.size(); ++i) {
    const Link& link = links_[i];
    V4CAP_CHECK(link.asked == link.delivered + link.cancelled + open[i],
                "bytes of link " + link.spec.name + " were lost");
    V4CAP_CHECK(link.moved >= shares_of(link.delivered),
                "link " + link.spec.name + " delivered what it did not move");
  }
}

}  // namespace v4cap
