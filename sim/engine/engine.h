// One engine: queue, running requests, KV cache and the rules of a scheduler. It decides and
// counts; it has no clock and no device. A driver (simulator or executor) submits requests, takes a
// step plan, performs it, and reports when it is done:
//
//   engine.submit(spec, now);
//   const StepPlan& plan = engine.plan_step(now);    // empty: nothing can run
//   ... the plan is performed, in simulated or in real time ...
//   engine.finish_step(now, ended);                  // which requests ended with it
//
// With tiers below GPU memory it also orders transfers, which the driver performs on links:
//
//   engine.take_orders(orders);                      // after plan_step() and finish_step()
//   engine.part_arrived(order); engine.performed(order.id, now);
//   engine.broken_off(order, now);                   // instead, where a tier is lost
//
// Two engines may share a request (RequestPart). The one that reads its prompt reports it as handed
// over and keeps its state; the other one takes memory for it and says what it has to be sent:
//
//   second.take_fetches(fetches);                    // after plan_step()
//   ... the bytes are moved ...
//   second.received(id, now); first.sent(id);
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/core/time.h"
#include "sim/engine/acceptance.h"
#include "sim/engine/engine_observer.h"
#include "sim/engine/request.h"
#include "sim/engine/request_record.h"
#include "sim/engine/route_target.h"
#include "sim/engine/scheduler.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

// What a rank may do in a step, as agreed between ranks that run in lockstep.
struct StepPermit {
  bool prefill = true;  // admit waiting requests: Batch::prefill_allowed()
  bool decode = true;   // Batch::decode_allowed()
  bool any = true;      // do anything at all; false: it stands by while another rank prefills
};

// Stands for a time that is not known yet: Engine::stamp().
inline constexpr SimTime kNotSeenYet = SimTime::max();

// A request that was taken away from an engine before it ended.
struct LostRequest {
  std::uint32_t id = 0;
  SimTime arrival;
  Tokens computed;  // of prompt and output, now for nothing
};

// State of a prompt that another engine has read, for which memory has been taken here.
struct Fetch {
  std::uint32_t id = 0;  // of the request
  KindBytes bytes;       // to be sent to each GPU
  Tokens had;            // of the prompt, whose entries were here already
};

// How an engine takes requests whose prompts others have read.
struct FetchRules {
  bool reuse = true;  // entries that are cached here are not sent again
  // Tokens by which each running or fetched request must be able to grow before one more is taken.
  Tokens room{512};
};

class Engine final : public RouteTarget {
 public:
  // `acceptance` says what becomes of the drafts of `limits.draft_tokens`.
  Engine(const EngineLimits& limits, std::unique_ptr<KvCache> cache,
         std::unique_ptr<SchedulerRules> rules, bool reuse_generated, Acceptance acceptance = {});

  // Before anything is submitted: of requests of RequestPart::rest.
  void set_fetch_rules(const FetchRules& rules) { fetch_rules_ = rules; }

  // Before anything is submitted: who is told what is where in the cache. Sequences are tagged with
  // their request's slot, the RequestIndex of the plan's pieces.
  void observe(CacheObserver* observer) { cache_->observe(observer); }

  // Tiers below GPU memory, before anything is submitted.
  void attach(std::unique_ptr<TierStack> tiers) { cache_->attach(std::move(tiers)); }

  // A request arrives. False: it can never run here (longer than the context limit or than all
  // memory); its record is in `refused`.
  // `arrival`: when its client sent it, at most `now`.
  bool submit(RequestSpec spec, SimTime arrival, SimTime now, RequestRecord& refused);
  bool submit(RequestSpec spec, SimTime now, RequestRecord& refused) {
    return submit(std::move(spec), now, now, refused);
  }

  // Could a request of these lengths run here if nothing else did?
  bool can_run(Tokens prompt, Tokens output, RequestPart part = RequestPart::whole) const;

  // The next step. The plan stays valid, and no other may be asked for, until finish_step(); an
  // empty one may be asked for again, with another permit.
  const StepPlan& plan_step(SimTime now, StepPermit permit = {});
  // Whether the next plan would run prompt tokens if it were allowed to.
  bool wants_prefill();

  // The plan is the first of so many in a row, at least 1, that differ only in contexts: each lets
  // all running requests decode a token, and nothing else happens when any but the last is finished.
  std::int64_t steady_steps() const;
  // The plan has been performed, the first time until `first_end`, and so have the next ones, `steps`
  // in all, fewer than steady_steps(); the one after them is now the last plan.
  void skip_steps(std::int64_t steps, SimTime first_end);

  // The last plan has been performed. Records of requests that ended are appended to `ended`. With
  // `now` = kNotSeenYet its tokens are looked at later: stamp() then says when, before the next
  // finish_step(); the records have that value where the time belongs.
  void finish_step(SimTime now, std::vector<RequestRecord>& ended);
  void stamp(SimTime seen);

  // What has to be moved between levels of memory, since the last call.
  void take_orders(std::vector<TransferOrder>& orders);
  // So much of a load is there that its request can start: all of it, or its first layers where
  // the rest comes while they run.
  void part_arrived(const TransferOrder& order);
  // All bytes of an order have been moved.
  void performed(OrderId order, SimTime now);
  // They will not be. A request that waits for this load goes back to the queue, in front of those
  // that have not come to their turn, and looks anew for its prefix; its other loads are to be
  // broken off, too.
  void broken_off(const TransferOrder& order, SimTime now);

  // What must be fetched for requests that memory was taken for, since the last call.
  void take_fetches(std::vector<Fetch>& fetches);
  // All of it is there: the request decodes from the next step on. Its first token came with it.
  void received(std::uint32_t request, SimTime now);
  // It was handed over and the other engine has all of its state: the memory is free. False: no
  // such request is kept here.
  bool sent(std::uint32_t request);
  // What it waits for to be fetched does not come: it is forgotten. False: none such waits here.
  bool forget(std::uint32_t request);

  // From now on `observer` (null: nobody) hears of every decision.
  void watch(EngineObserver* observer) { observer_ = observer; }

  // Something runs or could be admitted, unless memory waits for loads.
  bool has_work() const { return !running_.empty() || !waiting_.empty() || !incoming_.empty(); }
  std::size_t running() const { return running_.size(); }
  // It has been admitted here and not ended.
  bool runs(std::uint32_t request) const;
  std::size_t waiting() const { return waiting_.size() + loading_.size(); }
  std::size_t loading() const { return loading_.size(); }  // of those that wait
  std::size_t decoding() const { return decoding_; }       // running, with their prompt read
  std::size_t requests() const override { return running() + waiting() + shared(); }
  // With another engine, which has or will have the rest of it: they neither run nor wait here.
  std::size_t shared() const { return incoming_.size() + receiving_.size() + sending_.size(); }
  Tokens prompt_tokens() const override { return prompt_tokens_; }
  Tokens would_hit(const RequestSpec& spec) const override;
  WaitReason wait_reason() const { return wait_reason_; }  // after the last plan
  const KvCache& cache() const { return *cache_; }
  TierStack* tiers() { return cache_->tiers(); }  // null: there are none
  const LiveRequest& request(RequestIndex slot) const { return slots_[slot]; }
  std::int64_t preemptions() const { return preemptions_; }
  // Decode steps of single requests, and the tokens that they yielded.
  std::int64_t decode_steps() const { return decode_steps_; }
  Tokens decoded() const { return decoded_; }

  // The device is gone: every request is taken away, in order of admission and then of the queue,
  // also out of a step that is not finished, those shared with other engines last, and the cache
  // is empty. What it held counts as evicted
  // and is returned.
  KindBytes lose(std::vector<LostRequest>& lost);

  // Everything ended: all memory is free or cached, and the books balance.
  void check_drained() const;

 private:
  template <bool kDrafts>
  bool finish_quietly(const StepPiece& piece);
  template <bool kDrafts>
  void finish_pieces(SimTime now, std::vector<RequestRecord>& ended);
  void finish_piece(const StepPiece& piece, SimTime now, std::vector<RequestRecord>& ended);
  void wait_again(RequestIndex slot);
  void emit_tokens(LiveRequest& request, Tokens tokens, SimTime now);
  void end(RequestIndex slot, SimTime now, std::vector<RequestRecord>& ended);
  static RequestRecord record_of(const LiveRequest& request, RequestEnd how);
  void hand_over(RequestIndex slot, SimTime now, std::vector<RequestRecord>& ended);
  void take_incoming();
  bool fits_incoming(const LiveRequest& head, const Lookup& found);
  // The slot of a request in `slots`, which is left out from now on.
  template <class Slots>
  std::optional<RequestIndex> taken_from(Slots& slots, std::uint32_t request);

  EngineLimits limits_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<SchedulerRules> rules_;
  bool reuse_generated_;
  Acceptance acceptance_;
  EngineObserver* observer_ = nullptr;
  std::vector<LiveRequest> slots_;
  std::vector<RequestIndex> free_slots_;
  std::vector<RequestIndex> running_;  // in order of admission
  std::deque<RequestIndex> waiting_;
  std::vector<RequestIndex> loading_;  // out of the queue until their prefix is there
  FetchRules fetch_rules_;
  std::deque<RequestIndex> incoming_;    // read elsewhere; they wait for memory here
  std::vector<RequestIndex> receiving_;  // have it
  std::vector<RequestIndex> sending_;    // read here; they go on elsewhere
  std::vector<Fetch> fetches_;
  WaitReason incoming_reason_ = WaitReason::nothing_waits;  // of the first of incoming_
  StepPlan plan_;
  std::vector<RequestIndex> not_seen_;  // running requests with a time to be stamped
  bool step_open_ = false;
  bool nobody_preempted_ = true;  // by the last plan
  std::size_t decoding_ = 0;
  WaitReason wait_reason_ = WaitReason::nothing_waits;
  Tokens prompt_tokens_;
  std::int64_t preemptions_ = 0, decode_steps_ = 0;
  Tokens decoded_;
};

}  // namespace v4cap
