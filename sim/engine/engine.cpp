#include "sim/engine/engine.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace v4cap {

RequestRecord Engine::record_of(const LiveRequest& request, RequestEnd how) {
  RequestRecord record;
  record.id = request.id;
  record.end = how;
  record.arrival = request.arrival;
  record.admitted = request.admitted;
  record.first_token = request.first_token;
  record.second_token = request.second_token;
  record.finished = request.ended;
  record.prompt = request.prompt;
  record.output = request.output;
  record.hit = request.hit;
  record.computed = request.computed_at_admission;
  record.rebuilt = request.rebuilt;
  record.recomputed_after_preemption = request.recomputed_after_preemption;
  record.preemptions = request.preemptions;
  return record;
}

Engine::Engine(const EngineLimits& limits, std::unique_ptr<KvCache> cache,
               std::unique_ptr<SchedulerRules> rules, bool reuse_generated, Acceptance acceptance)
    : limits_(limits),
      cache_(std::move(cache)),
      rules_(std::move(rules)),
      reuse_generated_(reuse_generated),
      acceptance_(std::move(acceptance)) {
  V4CAP_CHECK(limits.max_running > 0 && limits.step_tokens >= Tokens{1},
              "an engine that cannot run");
  V4CAP_CHECK(acceptance_.drafts() == limits.draft_tokens,
              std::to_string(limits.draft_tokens) + " drafts, and chances for " +
                  std::to_string(acceptance_.drafts()));
}

bool Engine::submit(RequestSpec spec, SimTime arrival, SimTime now, RequestRecord& refused) {
  RequestIndex slot;
  if (free_slots_.empty()) {
    slot = static_cast<RequestIndex>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  LiveRequest& request = slots_[slot];
  request = LiveRequest{};
  request.id = spec.id;
  request.part = spec.part;
  request.prompt = spec.prompt;
  request.output = spec.output;
  request.arrival = arrival;
  request.submitted = now;
  request.sequence.tag = slot;
  request.sequence.keys = std::move(spec.keys);
  const Tokens shared = reuse_generated_ ? spec.prompt + spec.output : spec.prompt;
  request.sequence.indexable = shared / cache_->block();
  // Of a prompt that was read elsewhere only the last window comes: a cache that keeps every
  // token's has nothing of it to share.
  if (spec.part == RequestPart::rest && cache_->policy().stores_window_of_every_token()) {
    request.sequence.indexable = 0;
  }
  cache_->plan_points(request.sequence, spec.prompt);

  V4CAP_CHECK(spec.prompt >= Tokens{1} && spec.output >= Tokens{0},
              "a request without a prompt or with negative output was submitted");
  V4CAP_CHECK(block_count(request.sequence.keys) >= request.sequence.indexable,
              "a request's keys do not cover its full blocks");
  if (!can_run(spec.prompt, spec.output, spec.part)) {
    advance(request, RequestState::refused);
    request.ended = now;
    refused = record_of(request, RequestEnd::refused);
    free_slots_.push_back(slot);
    if (observer_ != nullptr) observer_->refused(refused);
    return false;
  }
  (spec.part == RequestPart::rest ? incoming_ : waiting_).push_back(slot);
  prompt_tokens_ += request.prompt;
  return true;
}

bool Engine::can_run(Tokens prompt, Tokens output, RequestPart part) const {
  const Tokens length = prompt + output;
  if (length > limits_.max_context) return false;
  const Tokens kept = part == RequestPart::prompt ? prompt : length;
  return cache_->fits_alone(kept, std::min(limits_.step_tokens, kept));
}

Tokens Engine::would_hit(const RequestSpec& spec) const {
  return cache_->lookup(spec.keys, spec.prompt / cache_->block(), spec.prompt).resume.position;
}

bool Engine::wants_prefill() {
  return rules_->wants_prefill(Batch(slots_, running_, waiting_, *cache_, limits_, plan_));
}

const StepPlan& Engine::plan_step(SimTime now, StepPermit permit) {
  V4CAP_CHECK(!step_open_, "a step was planned before the last one was finished");
  plan_.clear();
  if (!permit.any) {
    // Whoever waits here still waits for what he waited for before.
    if (waiting_.empty() && incoming_.empty()) {
      wait_reason_ = WaitReason::nothing_waits;
    } else if (wait_reason_ == WaitReason::nothing_waits) {
      wait_reason_ = WaitReason::prefill_delayed;
    }
    return plan_;
  }
  TierStack* const tiers = cache_->tiers();
  // One of many ranks, most of which have nothing to do.
  if (running_.empty() && waiting_.empty() && incoming_.empty() && rules_->rests_when_idle()) {
    if (tiers != nullptr) tiers->set_time(now);
    nobody_preempted_ = true;
    wait_reason_ = WaitReason::nothing_waits;
    return plan_;
  }
  if (!incoming_.empty()) take_incoming();
  EngineLimits limits = limits_;
  limits.max_running -= static_cast<std::int64_t>(receiving_.size());
  Batch batch(slots_, running_, waiting_, *cache_, limits, plan_, observer_,
              tiers == nullptr ? nullptr : &loading_);
  batch.allow_prefill(permit.prefill);
  batch.allow_decode(permit.decode);
  if (tiers != nullptr) {
    tiers->set_time(now);
    if (permit.prefill) batch.load_heads();
  }
  rules_->plan(batch, now);
  preemptions_ += static_cast<std::int64_t>(batch.preempted());
  nobody_preempted_ = batch.preempted() == 0;
  if (batch.preempted() > 0) {
    decoding_ = static_cast<std::size_t>(std::ranges::count_if(
        running_, [&](RequestIndex slot) { return slots_[slot].state == RequestState::decoding; }));
  }
  wait_reason_ = !waiting_.empty()    ? batch.reason()
                 : !incoming_.empty() ? incoming_reason_
                                      : WaitReason::nothing_waits;
  V4CAP_CHECK(!plan_.empty() || (running_.empty() && waiting_.empty()) ||
                  !batch.prefill_allowed() || !batch.decode_allowed() || !loading_.empty() ||
                  !receiving_.empty() || !sending_.empty(),
              "the scheduler is idle although requests wait");
  V4CAP_CHECK(waiting_.empty() || wait_reason_ != WaitReason::nothing_waits,
              "requests wait and the scheduler does not say why");
  step_open_ = !plan_.empty();
  return plan_;
}

void Engine::finish_step(SimTime now, std::vector<RequestRecord>& ended) {
  V4CAP_CHECK(step_open_, "no step is open");
  V4CAP_CHECK(not_seen_.empty(), "a step was finished before the last one's tokens were seen");
  if (cache_->tiers() != nullptr && now != kNotSeenYet) cache_->tiers()->set_time(now);
  if (limits_.draft_tokens > 0) {
    finish_pieces<true>(now, ended);
  } else {
    finish_pieces<false>(now, ended);
  }
  step_open_ = false;
}

template <bool kDrafts>
void Engine::finish_pieces(SimTime now, std::vector<RequestRecord>& ended) {
  std::int64_t quiet_steps = 0;
  Tokens quiet_tokens;
  for (const StepPiece& piece : plan_.pieces) {
    if (finish_quietly<kDrafts>(piece)) {
      ++quiet_steps;
      if constexpr (kDrafts) quiet_tokens += slots_[piece.request].computed - piece.past;
    } else {
      finish_piece(piece, now, ended);
    }
  }
  decode_steps_ += quiet_steps;
  decoded_ += kDrafts ? quiet_tokens : Tokens{quiet_steps};
}

// A decode of which nobody has to be told: neither its first tokens nor its last, none that was
// computed before, none that completes anything in the cache. Whoever asks counts it.
template <bool kDrafts>
inline bool Engine::finish_quietly(const StepPiece& piece) {
  LiveRequest& request = slots_[piece.request];
  const Tokens past = piece.past;
  if (piece.kind != PieceKind::decode || request.generated < Tokens{2} ||
      past != request.computed || past != request.reached) {
    return false;
  }
  Tokens kept{1};
  if constexpr (kDrafts) kept = acceptance_.tokens(request.id, request.decode_steps);
  const Tokens generated = request.generated + kept, computed = past + kept;
  if (generated >= request.output || computed > request.quiet_until) return false;
  ++request.decode_steps;
  request.generated = generated;
  request.computed = request.reached = computed;
  return true;
}

std::int64_t Engine::steady_steps() const {
  constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();
  if (!step_open_) return has_work() || shared() > 0 ? 1 : kForEver;
  const bool decodes_only = decoding_ == running_.size() &&
                            plan_.pieces.size() == running_.size() && plan_.copies == StepCopies{};
  if (!decodes_only || !nobody_preempted_ || limits_.draft_tokens > 0 || observer_ != nullptr ||
      cache_->tiers() != nullptr || !loading_.empty() || !incoming_.empty() || !not_seen_.empty() ||
      !rules_->repeats(!waiting_.empty())) {
    return 1;
  }
  std::int64_t steps = kForEver;
  for (const RequestIndex slot : running_) {
    const LiveRequest& request = slots_[slot];
    // When its first token came is somebody's to know.
    if (request.generated < Tokens{1}) return 1;
    steps = std::min(steps, (request.output - request.generated).value);
    // As long as it is known that the cache has nothing to do it need not be asked for how long.
    if (request.quiet_until < request.computed + Tokens{steps}) {
      steps = std::min(steps, cache_->quiet_for(request.sequence, request.computed).value);
    }
    if (steps <= 1) return 1;
  }
  return steps;
}

void Engine::skip_steps(std::int64_t steps, SimTime first_end) {
  if (steps == 0) return;
  const Tokens tokens{steps};
  for (const RequestIndex slot : running_) {
    LiveRequest& request = slots_[slot];
    if (request.generated < Tokens{2}) request.second_token = first_end;
    request.generated += tokens;
    request.computed += tokens;
    request.reached = std::max(request.reached, request.computed);
    request.decode_steps += steps;
    request.points_reserved = std::max(request.points_reserved, request.computed + Tokens{1});
  }
  for (StepPiece& piece : plan_.pieces) piece.past += tokens;
  const auto decoded = steps * static_cast<std::int64_t>(running_.size());
  decode_steps_ += decoded;
  decoded_ += Tokens{decoded};
  if (step_open_) rules_->repeated(steps);
}

// A slot whose request has ended may have another one by now, without times to be stamped.
void Engine::stamp(SimTime seen) {
  for (const RequestIndex slot : not_seen_) {
    LiveRequest& request = slots_[slot];
    if (request.first_token == kNotSeenYet) request.first_token = seen;
    if (request.second_token == kNotSeenYet) request.second_token = seen;
  }
  not_seen_.clear();
}

void Engine::take_orders(std::vector<TransferOrder>& orders) {
  if (cache_->tiers() != nullptr) cache_->tiers()->take_orders(orders);
}

void Engine::part_arrived(const TransferOrder& order) {
  V4CAP_CHECK(order.load(), "a part of a store arrived on the GPU");
  const RequestIndex slot = order.tag;
  LiveRequest& request = slots_[slot];
  V4CAP_CHECK(request.state == RequestState::loading && request.loads > 0,
              "request " + std::to_string(request.id) + " waits for no load");
  if (--request.loads > 0) return;
  cache_->finish_load(request.sequence);
  request.loaded = true;
  wait_again(slot);
}

// Behind those that came to their turn before it.
void Engine::wait_again(RequestIndex slot) {
  advance(slots_[slot], RequestState::waiting);
  loading_.erase(std::find(loading_.begin(), loading_.end(), slot));
  const auto next = std::find_if(waiting_.begin(), waiting_.end(), [&](RequestIndex r) {
    return !slots_[r].loaded && slots_[r].preemptions == 0;
  });
  waiting_.insert(next, slot);
}

void Engine::performed(OrderId order, SimTime now) {
  cache_->tiers()->set_time(now);
  cache_->tiers()->performed(order);
}

void Engine::broken_off(const TransferOrder& order, SimTime now) {
  cache_->tiers()->set_time(now);
  cache_->tiers()->broken_off(order.id);
  if (!order.load()) return;
  LiveRequest& request = slots_[order.tag];
  if (request.state != RequestState::loading) return;  // another of its loads was first
  request.loads = 0;
  cache_->drop_load(request.sequence);
  cache_->unpin(request.sequence);
  wait_again(order.tag);
}

void Engine::finish_piece(const StepPiece& piece, SimTime now, std::vector<RequestRecord>& ended) {
  LiveRequest& request = slots_[piece.request];
  if (piece.kind == PieceKind::rebuild) {
    request.rebuild_left -= piece.tokens;
    if (request.preemptions > 0) request.recomputed_after_preemption += piece.tokens;
    if (request.rebuild_left == Tokens{0}) advance(request, RequestState::prefilling);
    return;
  }
  V4CAP_CHECK(piece.past == request.computed, "a step was computed out of order");
  Tokens kept = piece.tokens;
  if (piece.kind == PieceKind::decode) {
    const std::int64_t step = request.decode_steps++;
    if (limits_.draft_tokens > 0) {
      kept = std::min(acceptance_.tokens(request.id, step), request.output - request.generated);
    }
    ++decode_steps_;
    decoded_ += kept;
  }
  request.computed += kept;
  if (piece.past < request.reached) {
    request.recomputed_after_preemption += std::min(request.computed, request.reached) - piece.past;
  }
  request.reached = std::max(request.reached, request.computed);
  if (cache_->commits_at(request.sequence, request.computed)) {
    cache_->commit(request.sequence, request.computed);
    request.quiet_until = {};
  }
  if (!piece.emits_token) return;
  emit_tokens(request, piece.kind == PieceKind::decode ? kept : Tokens{1}, now);
  if (request.part == RequestPart::prompt && request.state == RequestState::prefilling) {
    hand_over(piece.request, now, ended);
  } else if (request.generated >= request.output) {
    end(piece.request, now, ended);
  } else if (request.state == RequestState::prefilling) {
    cache_->decodes(request.sequence);
    advance(request, RequestState::decoding);
    ++decoding_;
  }
}

void Engine::emit_tokens(LiveRequest& request, Tokens tokens, SimTime now) {
  if (request.output == Tokens{0})
    return;  // aborted when its prompt was read: no token reaches anyone
  const Tokens before = request.generated;
  request.generated += tokens;
  if (before < Tokens{2} && now == kNotSeenYet) {
    not_seen_.push_back(static_cast<RequestIndex>(&request - slots_.data()));
  }
  if (before < Tokens{1}) request.first_token = now;
  if (before < Tokens{2} && request.generated >= Tokens{2}) request.second_token = now;
}

void Engine::end(RequestIndex slot, SimTime now, std::vector<RequestRecord>& ended) {
  LiveRequest& request = slots_[slot];
  cache_->release(request.sequence);
  if (request.state == RequestState::decoding) --decoding_;
  advance(request, RequestState::finished);
  request.ended = now;
  V4CAP_CHECK(request.prompt == request.hit + request.computed_at_admission,
              "prompted != hit + computed for request " + std::to_string(request.id));
  ended.push_back(record_of(request, RequestEnd::finished));
  running_.erase(std::find(running_.begin(), running_.end(), slot));
  prompt_tokens_ -= request.prompt;
  free_slots_.push_back(slot);
  if (observer_ != nullptr) observer_->finished(slot, request);
}

KindBytes Engine::lose(std::vector<LostRequest>& lost) {
  step_open_ = false;
  plan_.clear();
  not_seen_.clear();
  cache_->abandon();
  const auto take = [&](RequestIndex slot) {
    LiveRequest& request = slots_[slot];
    if (request.state == RequestState::loading) {
      cache_->drop_load(request.sequence);
    } else if (request.sequence.running) {
      cache_->release(request.sequence);
    }
    cache_->unpin(request.sequence);
    lost.push_back({request.id, request.arrival,
                    request.admitted_before ? request.reached - request.hit : Tokens{0}});
    free_slots_.push_back(slot);
  };
  for (const RequestIndex slot : running_) take(slot);
  for (const RequestIndex slot : waiting_) take(slot);
  for (const RequestIndex slot : loading_) take(slot);
  for (const RequestIndex slot : incoming_) take(slot);
  for (const RequestIndex slot : receiving_) take(slot);
  for (const RequestIndex slot : sending_) take(slot);
  incoming_.clear();
  receiving_.clear();
  sending_.clear();
  fetches_.clear();
  running_.clear();
  loading_.clear();
  waiting_.clear();
  decoding_ = 0;
  prompt_tokens_ = {};
  wait_reason_ = WaitReason::nothing_waits;
  rules_->restarted();
  check_drained();
  return cache_->clear();
}

void Engine::check_drained() const {
  V4CAP_CHECK(!has_work() && loading_.empty() && shared() == 0 && !step_open_,
              "the engine still has work");
  cache_->check_drained();
}

}  // namespace v4cap
