// Requests that two engines share: one reads the prompt, the other one generates.
#include <algorithm>
#include <string>

#include "sim/engine/engine.h"

namespace v4cap {

void Engine::hand_over(RequestIndex slot, SimTime now, std::vector<RequestRecord>& ended) {
  LiveRequest& request = slots_[slot];
  request.ended = now;
  advance(request, RequestState::sending);
  V4CAP_CHECK(request.prompt == request.hit + request.computed_at_admission,
              "prompted != hit + computed for request " + std::to_string(request.id));
  ended.push_back(record_of(request, RequestEnd::handed_over));
  running_.erase(std::find(running_.begin(), running_.end(), slot));
  prompt_tokens_ -= request.prompt;
  sending_.push_back(slot);
}

template <class Slots>
std::optional<RequestIndex> Engine::taken_from(Slots& slots, std::uint32_t request) {
  const auto it = std::find_if(slots.begin(), slots.end(),
                               [&](RequestIndex slot) { return slots_[slot].id == request; });
  if (it == slots.end()) return std::nullopt;
  const RequestIndex slot = *it;
  slots.erase(it);
  return slot;
}

bool Engine::sent(std::uint32_t request) {
  const auto slot = taken_from(sending_, request);
  if (!slot) return false;
  cache_->release(slots_[*slot].sequence);
  advance(slots_[*slot], RequestState::finished);
  free_slots_.push_back(*slot);
  return true;
}

// Room for the growth of whoever is here, that nobody has to be preempted at once. Not asked for
// where nobody is.
bool Engine::fits_incoming(const LiveRequest& head, const Lookup& found) {
  const auto here = static_cast<std::int64_t>(running_.size() + receiving_.size());
  incoming_reason_ = WaitReason::running_cap;
  if (here >= limits_.max_running) return false;
  incoming_reason_ = WaitReason::memory;
  return here == 0 || cache_->would_fit(found, head.prompt, Tokens{1},
                                        Tokens{fetch_rules_.room.value * (here + 1)});
}

// In order of arrival, and nobody before those that were preempted here.
void Engine::take_incoming() {
  incoming_reason_ = WaitReason::memory;  // as those that were preempted wait for
  while (!incoming_.empty() && waiting_.empty()) {
    const RequestIndex slot = incoming_.front();
    LiveRequest& request = slots_[slot];
    Lookup found;
    if (fetch_rules_.reuse) found = cache_->lookup(request.sequence, request.prompt);
    found.resume = {};  // entries are taken from here, the window comes with the rest
    if (!fits_incoming(request, found)) return;
    if (!cache_->admit(request.sequence, found, request.prompt, Tokens{1}, false)) return;
    incoming_.pop_front();
    receiving_.push_back(slot);
    advance(request, RequestState::receiving);
    fetches_.push_back(
        {request.id, cache_->state_to_send(found.match.blocks, request.prompt), found.cached});
  }
}

void Engine::take_fetches(std::vector<Fetch>& fetches) {
  fetches.insert(fetches.end(), fetches_.begin(), fetches_.end());
  fetches_.clear();
}

void Engine::received(std::uint32_t id, SimTime now) {
  const auto slot = taken_from(receiving_, id);
  V4CAP_CHECK(slot.has_value(), "request " + std::to_string(id) + " waits for nothing");
  LiveRequest& request = slots_[*slot];
  request.admitted_before = true;
  request.admitted = request.first_token = now;
  request.hit = request.computed = request.reached = request.prefill_target = request.prompt;
  request.generated = Tokens{1};
  cache_->received(request.sequence, request.prompt);
  advance(request, RequestState::decoding);
  running_.push_back(*slot);
  ++decoding_;
}

bool Engine::runs(std::uint32_t request) const {
  return std::ranges::any_of(running_,
                             [&](RequestIndex slot) { return slots_[slot].id == request; });
}

bool Engine::forget(std::uint32_t id) {
  auto slot = taken_from(incoming_, id);
  if (!slot) {
    slot = taken_from(receiving_, id);
    if (!slot) return false;
    cache_->release(slots_[*slot].sequence);
    std::erase_if(fetches_, [&](const Fetch& fetch) { return fetch.id == id; });
  }
  prompt_tokens_ -= slots_[*slot].prompt;
  free_slots_.push_back(*slot);
  return true;
}

}  // namespace v4cap
