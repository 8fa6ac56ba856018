// A cluster with replicas that read prompts for others that generate. A request on its way from one
// to the other has a journey (sim/cluster/handover.h); it waits, as far as the books go, from the
// end of its prompt until all of its state is there, and before its prompt where memory is taken
// first.
#include <algorithm>
#include <string>
#include <utility>

#include "sim/cluster/cluster.h"

namespace v4cap {

void Cluster::hold(Handover::Journey& journey, SimTime now) {
  if (std::exchange(journey.held, true)) return;
  pass(now);
  ++held_;
}

void Cluster::let_go(Handover::Journey& journey, SimTime now) {
  if (!std::exchange(journey.held, false)) return;
  pass(now);
  --held_;
}

void Cluster::place_shared(const Held& held, SimTime now) {
  if (prefill_up_.empty() || (handover_->ahead() && up_.empty())) return park(held, now);
  ReplicaDriver& reader = *units_[prefill_up_.front().number].driver;
  RequestSpec spec = spec_of_(held.request, reader.replica().block(), ids_);
  // Whoever wants one token has it with the prompt.
  const bool shared = spec.output > Tokens{1};
  const RequestPart part = shared ? RequestPart::prompt : RequestPart::whole;
  const bool fits =
      reader.can_run(spec.prompt, std::min(spec.output, Tokens{1}), part) &&
      (!shared || up_.empty() ||
       units_[up_.front().number].driver->can_run(spec.prompt, spec.output, RequestPart::rest));
  if (!fits) return refuse(held.request, held.sent, prefill_up_.front().number, now);
  if (!shared) {
    const std::size_t chosen = prefill_router_->choose(spec, prefill_up_);
    return give(prefill_up_[chosen].number, std::move(spec), held.sent, now);
  }
  Handover::Journey& journey = handover_->begin(held.request, held.sent, spec.prompt, now);
  if (!handover_->ahead()) return read_prompt(journey, now);
  hold(journey, now);
  choose_receiver(journey, now);
}

void Cluster::refuse(std::uint32_t request, SimTime sent, std::size_t n, SimTime now) {
  RequestRecord& record = ended_->emplace_back();
  record.id = request;
  record.end = RequestEnd::refused;
  record.arrival = sent;
  record.finished = now;
  record.replica = static_cast<std::int32_t>(n);
}

void Cluster::read_prompt(Handover::Journey& journey, SimTime now) {
  if (prefill_up_.empty()) return;  // go_on() when one comes up
  const Tokens block = units_[prefill_up_.front().number].driver->replica().block();
  RequestSpec spec = spec_of_(journey.request, block, ids_);
  spec.part = RequestPart::prompt;
  spec.output = Tokens{1};
  const std::size_t chosen = prefill_router_->choose(spec, prefill_up_);
  V4CAP_CHECK(chosen < prefill_up_.size(), "a router chose a replica that is not there");
  journey.from = prefill_up_[chosen].number;
  let_go(journey, now);
  std::vector<RequestRecord> refused;
  units_[journey.from].driver->submit(std::move(spec), journey.sent, now, refused);
  V4CAP_CHECK(refused.empty(), "a prompt was refused that fits");
  touch(journey.from);
}

void Cluster::choose_receiver(Handover::Journey& journey, SimTime now) {
  if (up_.empty()) return;  // go_on() when one comes up
  // Nor does one whose prompt nobody reads take memory from those whose prompts were read.
  if (!journey.read && prefill_up_.empty()) return;
  RequestSpec spec = rest_of(journey);
  const std::size_t chosen = router_->choose(spec, up_);
  V4CAP_CHECK(chosen < up_.size(), "a router chose a replica that is not there");
  const std::size_t n = up_[chosen].number;
  journey.since = now;
  std::vector<std::uint32_t> behind;
  if (journey.read && handover_->ahead()) behind = step_aside(n, now);
  queue_up(journey, n, std::move(spec), now);
  for (const std::uint32_t request : behind) {
    Handover::Journey& other = *handover_->find(request);
    queue_up(other, n, rest_of(other), now);
  }
}

// What it asks for where it generates; a replica that does is up.
RequestSpec Cluster::rest_of(const Handover::Journey& journey) {
  const Tokens block = units_[up_.front().number].driver->replica().block();
  RequestSpec spec = spec_of_(journey.request, block, ids_);
  spec.part = RequestPart::rest;
  return spec;
}

// It waits for memory where it generates, behind those that wait there already.
void Cluster::queue_up(Handover::Journey& journey, std::size_t n, RequestSpec spec, SimTime now) {
  journey.to = n;
  std::vector<RequestRecord> refused;
  units_[n].driver->submit(std::move(spec), journey.sent, now, refused);
  touch(n);
  if (refused.empty()) return;
  // Nobody that generates was up to say so when it came.
  refuse(journey.request, journey.sent, journey.to, now);
  if (journey.read) {
    units_[journey.from].driver->sent(journey.request, now);
    touch(journey.from);
  }
  let_go(journey, now);
  handover_->abandon(journey.request, now);
}

// Whoever has been read and lost its memory where it generates keeps memory where it was read until
// it gets some here, on replica `n`. Those who have memory here and wait for memory there would wait
// for it, and it for them: they let go of theirs, and queue up again behind it. So do those that wait
// for memory in both places. Returned, in order of their numbers.
std::vector<std::uint32_t> Cluster::step_aside(std::size_t n, SimTime now) {
  std::vector<std::uint32_t> out;
  for (const std::uint32_t request : handover_->requests()) {
    Handover::Journey& journey = *handover_->find(request);
    if (journey.to != n || journey.read) continue;
    const bool being_read =
        journey.from != Handover::kNobody && units_[journey.from].driver->replica().runs(request);
    if (being_read && journey.fetched) continue;
    units_[n].driver->forget(request, now);
    handover_->call_back(journey, now);
    out.push_back(request);
  }
  return out;
}

// Nobody is up who reads prompts. Whoever waits for that and has memory where it generates would keep
// it from those whose prompts were read, and who read them may be waiting for these to go.
void Cluster::wait_without_memory(SimTime now) {
  for (const std::uint32_t request : handover_->requests()) {
    Handover::Journey& journey = *handover_->find(request);
    if (journey.from != Handover::kNobody || journey.to == Handover::kNobody) continue;
    units_[journey.to].driver->forget(request, now);
    touch(journey.to);
    handover_->call_back(journey, now);
    journey.to = Handover::kNobody;
  }
}

void Cluster::collect_fetches(std::size_t n, SimTime now) {
  ReplicaDriver& driver = *units_[n].driver;
  for (std::size_t rank = 0; rank < driver.replica().size(); ++rank) {
    fetches_.clear();
    driver.take_fetches(rank, fetches_);
    for (const Fetch& fetch : fetches_) {
      Handover::Journey* journey = handover_->find(fetch.id);
      V4CAP_CHECK(journey != nullptr && journey->to == n, "a fetch that nobody waits for");
      handover_->fetch(*journey, rank, fetch, now);
      if (journey->from == Handover::kNobody) {
        read_prompt(*journey, now);
      } else {
        handover_->send(*journey, now);
      }
    }
  }
}

// The record of a prompt that has been read on replica `n`.
void Cluster::prompt_read(const RequestRecord& record, SimTime now) {
  Handover::Journey* journey = handover_->find(record.id);
  V4CAP_CHECK(journey != nullptr, "a prompt was read that nobody goes on with");
  journey->read = true;
  ++units_[journey->from].result.prompts_read;
  journey->record = record;
  journey->from_rank = static_cast<std::size_t>(record.rank);
  journey->begun = journey->done = journey->prompt;
  hold(*journey, now);
  if (journey->to != Handover::kNobody && journey->fetched) return handover_->send(*journey, now);
  if (journey->to != Handover::kNobody) {  // it stepped aside: now others do
    units_[journey->to].driver->forget(record.id, now);
    touch(journey->to);
    journey->to = Handover::kNobody;
  }
  choose_receiver(*journey, now);
}

void Cluster::end_journeys(SimTime now) {
  for (const std::uint32_t request : handover_->advance(now)) {
    Handover::Journey& journey = *handover_->find(request);
    const std::size_t from = journey.from, to = journey.to;
    let_go(journey, now);
    RequestRecord& record = prompts_[request];
    record = journey.record;
    record.replica = static_cast<std::int32_t>(from);
    units_[to].driver->received(journey.to_rank, request, now);
    units_[from].driver->sent(request, now);
    handover_->complete(journey, now);
    touch(to);
    touch(from);
  }
}

// Records of replica `n` from position `first` on: those of prompts that go on elsewhere are taken
// out and returned, to those of the rest of a request the part of its prompt is added.
std::vector<RequestRecord> Cluster::join_records(std::size_t n, std::size_t first) {
  const auto begin = ended_->begin() + static_cast<std::ptrdiff_t>(first);
  if (units_[n].reads) {
    const auto handed = std::stable_partition(begin, ended_->end(), [](const RequestRecord& r) {
      return r.end != RequestEnd::handed_over;
    });
    std::vector<RequestRecord> read(handed, ended_->end());
    ended_->erase(handed, ended_->end());
    return read;
  }
  for (auto it = begin; it != ended_->end(); ++it) {
    const auto found = prompts_.find(it->id);
    if (found == prompts_.end()) continue;  // refused
    const RequestRecord& prompt = found->second;
    it->admitted = prompt.admitted;
    it->hit = prompt.hit;
    it->computed = prompt.computed;
    it->rebuilt = prompt.rebuilt;
    it->recomputed_after_preemption += prompt.recomputed_after_preemption;
    it->preemptions += prompt.preemptions;
    it->prefill_replica = prompt.replica;
    it->prompt_read = prompt.finished;
    prompts_.erase(found);
  }
  return {};
}

// A step of replica `n` has been launched, or (`ended`) its event at the end of one is about to be
// handled: what has been computed can be sent. Where steps are launched ahead, that event is the end
// of one on the GPU and the begin of the next, which was launched meanwhile.
void Cluster::send_computed(std::size_t n, bool ended, SimTime now) {
  const Unit& unit = units_[n];
  if (!unit.reads || !handover_->ahead() || !unit.driver) return;
  Handover::Steps& steps = handover_->steps_of(n);
  const auto begin = [&] {
    for (const auto& [request, computed] : steps.running) {
      Handover::Journey* journey = handover_->find(request);
      if (journey == nullptr) continue;
      journey->begun = std::max(journey->begun, computed);
      handover_->send(*journey, now);
    }
  };
  if (!ended) {
    const bool ahead = unit.driver->overlapped();
    (ahead ? steps.launched : steps.running) = launched_prompts(n);
    if (!ahead) begin();
    return;
  }
  for (const auto& [request, computed] : steps.running) {
    Handover::Journey* journey = handover_->find(request);
    if (journey == nullptr) continue;
    journey->done = std::max(journey->done, computed);
    handover_->send(*journey, now);
  }
  steps.running = std::exchange(steps.launched, {});
  begin();
}

// Requests whose prompts are in the step that replica `n` has launched last, each with what of it
// will then be computed.
std::vector<std::pair<std::uint32_t, Tokens>> Cluster::launched_prompts(std::size_t n) {
  std::vector<std::pair<std::uint32_t, Tokens>> out;
  const Replica& replica = units_[n].driver->replica();
  const auto plans = replica.plans();
  for (std::size_t rank = 0; rank < plans.size(); ++rank) {
    for (const StepPiece& piece : plans[rank]->pieces) {
      if (piece.kind != PieceKind::prefill) continue;
      const std::uint32_t request = replica.rank(rank).request(piece.request).id;
      Handover::Journey* journey = handover_->find(request);
      if (journey == nullptr) continue;
      journey->from_rank = rank;
      out.emplace_back(request, piece.past + piece.tokens);
    }
  }
  return out;
}

// `lost` was taken away from replica `n`. Those that were to generate there, and have not begun to,
// are still where their prompts are read: they are left out and returned. To send what was read once
// more is one of a request's tries; without it links that are too slow for replicas that are lost
// too often would be tried for ever.
std::vector<std::uint32_t> Cluster::keep_read(std::size_t n, std::vector<LostRequest>& lost,
                                              SimTime now) {
  std::vector<std::uint32_t> kept;
  if (!handover_) return kept;
  if (units_[n].reads) {
    for (const LostRequest& request : lost) {
      handover_->forget_steps(n, request.id);
      Handover::Journey* journey = handover_->find(request.id);
      if (journey == nullptr) continue;
      if (journey->to != Handover::kNobody) {
        units_[journey->to].driver->forget(request.id, now);
        touch(journey->to);
      }
      let_go(*journey, now);
      handover_->abandon(request.id, now);
    }
    return kept;
  }
  std::erase_if(lost, [&](const LostRequest& request) {
    prompts_.erase(request.id);
    Handover::Journey* journey = handover_->find(request.id);
    if (journey == nullptr) return false;
    handover_->call_back(*journey, now);
    journey->to = Handover::kNobody;
    if (journey->read) {
      std::int32_t& tries = retries_[request.id];
      if (tries >= parts_.config.retry_limit) {
        units_[journey->from].driver->sent(request.id, now);
        touch(journey->from);
        let_go(*journey, now);
        handover_->abandon(request.id, now);
        return false;
      }
      ++tries;
    }
    kept.push_back(request.id);
    return true;
  });
  return kept;
}

// Whoever waits for a replica of a kind of which none was up.
void Cluster::go_on(std::vector<std::uint32_t> requests, SimTime now) {
  for (const std::uint32_t request : requests) {
    Handover::Journey* journey = handover_->find(request);
    if (journey == nullptr) continue;
    const bool reads_now = journey->from != Handover::kNobody && !journey->read;
    if (journey->to == Handover::kNobody && !reads_now) {
      choose_receiver(*journey, now);
    } else if (journey->fetched && journey->from == Handover::kNobody) {
      read_prompt(*journey, now);
    }
  }
}

}  // namespace v4cap
