#include "sim/cluster/handover.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace v4cap {

Handover::Handover(const PrefillParts& parts, const TransferConfig& config, std::size_t receivers,
                   std::size_t receiver_ranks, std::size_t senders, std::size_t sender_ranks)
    : parts_(parts), config_(config), receivers_(receivers), steps_(senders) {
  const auto add = [&](std::vector<std::vector<LinkId>>& links, std::size_t replicas,
                       std::size_t ranks, const char* name, double bytes_per_s, Duration latency) {
    for (std::size_t n = 0; n < replicas; ++n) {
      links.emplace_back();
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        links.back().push_back(
            links_.add({fmt::format("{} {} {}", name, n, rank), bytes_per_s, latency}));
      }
    }
  };
  // A transfer waits for the latencies of all its links: said once.
  add(in_, receivers, receiver_ranks, "into", parts.in_bytes_per_s, config.latency);
  add(out_, senders, sender_ranks, "out of", parts.out_bytes_per_s, Duration{0});
}

Handover::Journey& Handover::begin(std::uint32_t request, SimTime sent, Tokens prompt,
                                   SimTime now) {
  const auto [it, is_new] = journeys_.try_emplace(request);
  V4CAP_CHECK(is_new, "request " + std::to_string(request) + " is handed over twice");
  Journey& journey = it->second;
  journey.request = request;
  journey.sent = sent;
  journey.prompt = prompt;
  journey.since = now;
  return journey;
}

Handover::Journey* Handover::find(std::uint32_t request) {
  const auto it = journeys_.find(request);
  return it == journeys_.end() ? nullptr : &it->second;
}

void Handover::fetch(Journey& journey, std::size_t rank, const Fetch& fetch, SimTime now) {
  journey.fetched = true;
  journey.to_rank = rank;
  journey.had = fetch.had;
  journey.bytes = fetch.bytes;
  journey.all = Bytes{fetch.bytes.total().value * parts_.copies};
  journey.fetched_at = now;
}

void Handover::forget_steps(std::size_t replica, std::uint32_t request) {
  Steps& steps = steps_of(replica);
  const auto of_request = [&](const auto& entry) { return entry.first == request; };
  std::erase_if(steps.launched, of_request);
  std::erase_if(steps.running, of_request);
}

std::vector<std::uint32_t> Handover::requests() const {
  std::vector<std::uint32_t> out;
  for (const auto& [request, journey] : journeys_) out.push_back(request);
  return out;
}

void Handover::send(Journey& journey, SimTime now) {
  if (!journey.fetched) return;
  // What is not there yet, spread evenly over the tokens that are to be sent; the window and the
  // compressor rows go with the rest.
  const auto worth = [&](Tokens computed) {
    const std::int64_t to_send = (journey.prompt - journey.had).value;
    const std::int64_t sendable = std::max((computed - journey.had).value, std::int64_t{0});
    if (sendable >= to_send) return journey.all.value;
    return static_cast<std::int64_t>(static_cast<Int128>(journey.all.value) * sendable / to_send);
  };
  std::int64_t due = worth(journey.done);
  if (config_.overlap == TransferOverlap::layers) {
    due += (worth(journey.begun) - due) / parts_.layers * (parts_.layers - 1);
  }
  const Bytes bytes = Bytes{due} - journey.started;
  if (bytes <= Bytes{0}) return;
  journey.started = Bytes{due};
  const LinkId path[] = {out_[journey.from - receivers_][journey.from_rank],
                         in_[journey.to][journey.to_rank]};
  const TransferId id = links_.start(path, bytes, now);
  transfers_.emplace(id, std::pair{journey.request, bytes});
  journey.on_links.push_back(id);
  renew_next();
}

void Handover::call_back(Journey& journey, SimTime now) {
  for (const TransferId id : journey.on_links) {
    if (links_.under_way(id)) links_.cancel(id, now);  // else it arrives at this very instant
    transfers_.erase(id);
  }
  journey.on_links.clear();
  result_.dropped += journey.started;
  journey.started = journey.arrived = {};
  journey.fetched = false;
  renew_next();
}

void Handover::complete(const Journey& journey, SimTime now) {
  ++result_.requests;
  result_.sent += journey.bytes;
  result_.moved += journey.all;
  result_.had += journey.had;
  result_.prompt += journey.prompt;
  result_.memory_wait_ms.push_back(to_ms(journey.fetched_at - journey.since));
  result_.after_prompt_ms.push_back(to_ms(now - journey.record.finished));
  journeys_.erase(journey.request);
}

void Handover::abandon(std::uint32_t request, SimTime now) {
  Journey* journey = find(request);
  V4CAP_CHECK(journey != nullptr, "a journey ends that was not begun");
  call_back(*journey, now);
  journeys_.erase(request);
}

void Handover::set_share(std::size_t replica, double share, SimTime now) {
  const bool reads = replica >= receivers_;
  const double whole = reads ? parts_.out_bytes_per_s : parts_.in_bytes_per_s;
  for (const LinkId link : reads ? out_[replica - receivers_] : in_[replica]) {
    if (links_.link(link).bytes_per_s != share * whole)
      links_.set_bandwidth(link, share * whole, now);
  }
  renew_next();
}

void Handover::renew_next() {
  next_ = links_.next_change().value_or(kNever);
}

std::vector<std::uint32_t> Handover::advance(SimTime now) {
  std::vector<std::uint32_t> complete;
  links_.advance(now, delivered_);
  for (const TransferId id : delivered_) {
    const auto it = transfers_.find(id);
    if (it == transfers_.end()) continue;  // called back as it arrived
    Journey& journey = *find(it->second.first);
    journey.arrived += it->second.second;
    std::erase(journey.on_links, id);
    transfers_.erase(it);
    if (journey.read && journey.arrived == journey.all) complete.push_back(journey.request);
  }
  delivered_.clear();
  renew_next();
  return complete;
}

double Handover::moved(const std::vector<LinkId>& links, bool offered) const {
  double sum = 0;
  for (const LinkId link : links) {
    const LinkBooks books = links_.books(link);
    sum += offered ? books.offered_bytes : books.moved_bytes;
  }
  return sum;
}

void Handover::reset() {
  result_ = {};
  const TransferResult all = result();
  moved_in_ += all.moved_in_bytes;
  offered_in_ += all.offered_in_bytes;
  moved_out_ += all.moved_out_bytes;
  offered_out_ += all.offered_out_bytes;
}

TransferResult Handover::result() const {
  TransferResult out = result_;
  for (const auto& links : in_) {
    out.moved_in_bytes += moved(links, false);
    out.offered_in_bytes += moved(links, true);
  }
  for (const auto& links : out_) {
    out.moved_out_bytes += moved(links, false);
    out.offered_out_bytes += moved(links, true);
  }
  out.moved_in_bytes -= moved_in_;
  out.offered_in_bytes -= offered_in_;
  out.moved_out_bytes -= moved_out_;
  out.offered_out_bytes -= offered_out_;
  V4CAP_CHECK(
      out.moved_in_bytes <= out.offered_in_bytes && out.moved_out_bytes <= out.offered_out_bytes,
      "links between replicas moved more than they can");
  return out;
}

void Handover::idle_until(SimTime end) {
  if (end <= links_.now()) return;
  links_.advance(end, delivered_);
  V4CAP_CHECK(delivered_.empty(), "something arrived after all had ended");
}

void Handover::check_drained() const {
  V4CAP_CHECK(journeys_.empty() && transfers_.empty() && links_.under_way() == 0,
              "requests are still on their way between replicas");
  links_.check();
  Bytes asked, delivered, cancelled;
  for (const auto& links : in_) {
    for (const LinkId link : links) {
      const LinkBooks books = links_.books(link);
      asked += books.asked;
      delivered += books.delivered;
      cancelled += books.cancelled;
    }
  }
  V4CAP_CHECK(asked == delivered + cancelled, "bytes between replicas are neither there nor lost");
}

}  // namespace v4cap
