#include "sim/engine/scheduler.h"

#include <algorithm>
#include <array>

#include "sim/engine/scheduler_traits.h"

namespace v4cap {

std::unique_ptr<SchedulerRules> make_scheduler(const std::string& name,
                                               const SchedulerParameters& parameters) {
  const auto* factory = SchedulerRegistry::find(name);
  if (factory == nullptr) {
    throw InputError(
        Place{}, "unknown scheduler '" + name + "'" + suggestion(name, SchedulerRegistry::names()));
  }
  return (*factory)(parameters);
}

SchedulerTraits scheduler_traits(const std::string& scheduler) {
  const SchedulerTraits* traits = SchedulerTraitsRegistry::find(scheduler);
  return traits == nullptr ? SchedulerTraits{} : *traits;
}

// No token is kept behind the end of the output.
Tokens Batch::after_decode(const LiveRequest& request) const {
  const Tokens rows{1 + limits_.draft_tokens};
  return std::min(request.computed + rows, request.prompt + request.output);
}

bool Batch::make_room(RequestIndex r) {
  LiveRequest& request = slots_[r];
  return grow(request, after_decode(request));
}

// What runs goes before what was loaded for somebody who waits.
bool Batch::grow(LiveRequest& request, Tokens length) {
  return cache_.grow(request.sequence, length) ||
         (unpin_waiting() && cache_.grow(request.sequence, length));
}

bool Batch::unpin_waiting() {
  bool any = false;
  if (loading_ == nullptr) return any;
  for (const RequestIndex r : waiting_) {
    any = any || slots_[r].sequence.pinned;
    cache_.unpin(slots_[r].sequence);
  }
  return any;
}

std::size_t Batch::decode_quietly(std::size_t i) {
  const Tokens rows{1 + limits_.draft_tokens};
  if (budget_ <= Tokens{0}) return 0;
  const auto allowed = static_cast<std::size_t>((budget_.value - 1) / rows.value + 1);
  const std::size_t most = std::min(allowed, running_.size() - i);
  constexpr std::size_t kAtATime = 64;
  // Before it is known that they are needed.
  static constinit thread_local std::array<StepPiece, kAtATime> made{};
  const RequestIndex* const first = running_.data() + i;
  LiveRequest* const slots = slots_.data();
  std::size_t n = 0;
  for (bool quiet = true; quiet && n < most;) {
    const std::size_t end = std::min(n + kAtATime, most);
    StepPiece* next = made.data();
    for (; n < end; ++n) {
      LiveRequest& request = slots[first[n]];
      const Tokens after = request.computed + rows;
      quiet = request.state == RequestState::decoding && after <= request.quiet_until;
      if (!quiet) break;
      request.points_reserved = std::max(request.points_reserved, after);
      *next++ = {first[n], PieceKind::decode, true, request.computed, rows};
    }
    plan_.pieces.insert(plan_.pieces.end(), made.data(), next);
  }
  budget_ -= rows * static_cast<std::int64_t>(n);
  return n;
}

bool Batch::decode_with_cache(RequestIndex r) {
  LiveRequest& request = slots_[r];
  const Tokens rows{1 + limits_.draft_tokens};
  const Tokens after = after_decode(request);
  if (!grow(request, after)) return false;
  reserve_points(request, after);
  if (!limits_.asks_always) {
    // Behind the end of the output there is nothing to make room for.
    request.quiet_until = std::min(cache_.quiet_until(request.sequence, request.points_reserved),
                                   request.prompt + request.output);
  }
  plan_.pieces.push_back({r, PieceKind::decode, true, request.computed, rows});
  budget_ -= rows;
  return true;
}

void Batch::prefill(RequestIndex r, Tokens most) {
  LiveRequest& request = slots_[r];
  Tokens allowed = std::min(budget_, most);
  if (request.state == RequestState::rebuilding && allowed > Tokens{0}) {
    const Tokens chunk = std::min(allowed, request.rebuild_left);
    plan_.pieces.push_back(
        {r, PieceKind::rebuild, false, request.computed - request.rebuild_left, chunk});
    budget_ -= chunk;
    allowed -= chunk;
    // The prompt follows in the same step only when the rebuild is complete with this chunk.
    if (chunk < request.rebuild_left) return;
  }
  if (allowed <= Tokens{0}) return;
  const Tokens chunk = std::min(allowed, request.prefill_target - request.computed);
  const Tokens after = request.computed + chunk;
  const bool last = after == request.prefill_target;
  reserve_points(request, after);
  plan_.pieces.push_back({r, PieceKind::prefill, last, request.computed, chunk});
  budget_ -= chunk;
}

// A preempted request computes what it had generated again, too.
Tokens Batch::head_target() const {
  const LiveRequest& request = slots_[waiting_.front()];
  return request.prompt + request.generated;
}

Tokens Batch::head_in_flight(const Lookup& found) const {
  return std::min(limits_.step_tokens, head_target() - found.resume.position);
}

Lookup Batch::look_up_head() const {
  return cache_.lookup(slots_[waiting_.front()].sequence, head_target());
}

Tokens Batch::to_run(const Lookup& found) const {
  return head_target() - found.resume.position + found.resume.rebuild;
}

bool Batch::head_would_fit(const Lookup& found, Tokens growth) const {
  return cache_.would_fit(found, head_target(), head_in_flight(found), growth);
}

// Drafts that were not accepted leave positions behind whose points are reserved already.
void Batch::reserve_points(LiveRequest& request, Tokens after) {
  const Tokens from = std::max(request.computed, request.points_reserved);
  if (after <= from) return;
  plan_.copies.points_written += cache_.reserve_points(request.sequence, from, after);
  request.points_reserved = after;
}

void Batch::load_heads() {
  if (loading_ == nullptr) return;
  // Nobody runs or loads: whoever was loaded must not keep the head from the memory it needs.
  if (running_.empty() && loading_->empty()) unpin_waiting();
  while (!waiting_.empty()) {
    const RequestIndex r = waiting_.front();
    LiveRequest& head = slots_[r];
    if (head.loaded || static_cast<std::int64_t>(running_.size()) >= limits_.max_running) return;
    const auto below = cache_.look_below(head.sequence, head_target());
    if (!below ||
        !cache_.would_fit(below->lookup, head_target(), head_in_flight(below->lookup), {}))
      return;
    if (!cache_.begin_load(head.sequence, *below, !head.admitted_before, head.loads)) return;
    waiting_.pop_front();
    loading_->push_back(r);
    advance(head, RequestState::loading);
  }
}

bool Batch::admit_head(SimTime now, const Lookup& found) {
  const RequestIndex r = waiting_.front();
  LiveRequest& request = slots_[r];
  request.prefill_target = head_target();
  request.quiet_until = {};
  if (!cache_.admit(request.sequence, found, request.prefill_target, head_in_flight(found),
                    !request.admitted_before)) {
    return false;
  }
  waiting_.pop_front();
  running_.push_back(r);

  request.computed = found.resume.position;
  request.rebuild_left = found.resume.rebuild;
  request.reached = std::max(request.reached, request.computed);
  if (!request.admitted_before) {
    request.admitted_before = true;
    request.admitted = now;
    request.hit = request.computed;
    request.computed_at_admission = request.prefill_target - request.computed;
    request.rebuilt = request.rebuild_left;
  }
  if (found.resume.position > Tokens{0} && found.resume.rebuild == Tokens{0} &&
      !cache_.keeps_windows_in_place()) {
    plan_.copies.points_read += cache_.layout().point(found.resume.position).total();
  }
  advance(request,
          request.rebuild_left > Tokens{0} ? RequestState::rebuilding : RequestState::prefilling);
  if (observer_ != nullptr) observer_->admitted(r, request);
  load_heads();
  return true;
}

void Batch::preempt(RequestIndex r) {
  LiveRequest& request = slots_[r];
  cache_.release(request.sequence);
  request.computed = request.rebuild_left = request.points_reserved = {};
  request.loaded = false;
  ++request.preemptions;
  advance(request, RequestState::waiting);
  running_.erase(std::find(running_.begin(), running_.end(), r));
  waiting_.push_front(r);
  ++preempted_;
  if (observer_ != nullptr) observer_->preempted(r, request);
}

}  // namespace v4cap
