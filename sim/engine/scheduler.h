// The rules of one engine: in which order sequences get tokens of a step, who is admitted, who is
// preempted. One file per engine, registered by name. Rules act through Batch, which keeps
// requests, cache and plan consistent; they hold no clock and see no device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/core/registry.h"
#include "sim/engine/engine_observer.h"
#include "sim/engine/request.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

struct EngineLimits {
  std::int64_t max_running = 0;
  Tokens step_tokens;             // new tokens of all sequences in one step
  Tokens max_context;             // prompt + output
  std::int64_t draft_tokens = 0;  // that a decode verifies beside the next token
  // The cache is asked at every decode, which is the plain way; else only where it may have more to do
  // than to count.
  bool asks_always = false;
};

// Why requests are still waiting after a step was planned.
enum class WaitReason : std::uint8_t {
  nothing_waits,
  memory,
  running_cap,
  step_tokens,
  prefill_delayed,  // Batch::prefill_allowed() is false
};

// What the rules see and may do while one step is planned.
class Batch {
 public:
  Batch(std::vector<LiveRequest>& slots, std::vector<RequestIndex>& running,
        std::deque<RequestIndex>& waiting, KvCache& cache, const EngineLimits& limits,
        StepPlan& plan, EngineObserver* observer = nullptr,
        std::vector<RequestIndex>* loading = nullptr)
      : slots_(slots),
        running_(running),
        waiting_(waiting),
        cache_(cache),
        limits_(limits),
        plan_(plan),
        observer_(observer),
        loading_(loading),
        budget_(limits.step_tokens) {}

  // Running requests in order of admission, and the queue in order of arrival.
  const std::vector<RequestIndex>& running() const { return running_; }
  const std::deque<RequestIndex>& waiting() const { return waiting_; }
  const LiveRequest& request(RequestIndex r) const { return slots_[r]; }
  const EngineLimits& limits() const { return limits_; }
  Tokens block() const { return cache_.block(); }
  // What is left of the step's tokens. Rules that let decodes run beside it see it go below 0.
  Tokens budget() const { return budget_; }
  std::size_t preempted() const { return preempted_; }

  // Whether waiting requests may be admitted in this step. Decided across attention ranks, whose
  // common step lasts as long as the longest of them; by itself an engine always may.
  bool prefill_allowed() const { return prefill_allowed_; }
  void allow_prefill(bool allowed) { prefill_allowed_ = allowed; }
  // Whether decoding requests may run in this step: not where the ranks have still to find out which
  // of them prefills, and then prefills alone.
  bool decode_allowed() const { return decode_allowed_; }
  void allow_decode(bool allowed) { decode_allowed_ = allowed; }

  // Room for the next token of a decoding request and its drafts, which decode() then finds. False:
  // there is none.
  bool make_room(RequestIndex r);
  // The next token of a decoding request with its drafts, for all of which room is made. They run
  // together also where less than that is left of the budget. False: the cache has no room.
  bool decode(RequestIndex r) {
    LiveRequest& request = slots_[r];
    const Tokens rows{1 + limits_.draft_tokens};
    const Tokens after = request.computed + rows;
    if (after > request.quiet_until) return decode_with_cache(r);
    request.points_reserved = std::max(request.points_reserved, after);
    plan_.pieces.push_back({r, PieceKind::decode, true, request.computed, rows});
    budget_ -= rows;
    return true;
  }
  // Decodes running requests from the i-th on, in their order, while there is budget and one can
  // without the cache being asked. Returns how many did.
  std::size_t decode_quietly(std::size_t i);
  // As much of what a rebuilding or prefilling request still has to run as the budget allows, and
  // no more than `most`.
  void prefill(RequestIndex r, Tokens most = Tokens{std::numeric_limits<std::int64_t>::max()});

  // Where there are tiers below GPU memory: while the head of the queue has more of its prefix
  // there, and would fit, it leaves the queue to have it loaded. Called before the rules and after
  // each admission.
  void load_heads();

  // What the cache holds for the head of the queue.
  Lookup look_up_head() const;
  // Tokens that the head of the queue would run before its first new one.
  Tokens to_run(const Lookup& found) const;
  // Would the head of the queue fit, and beside it `growth` more tokens of whoever runs, if all
  // that nobody uses were evicted?
  bool head_would_fit(const Lookup& found, Tokens growth) const;
  // The head of the queue becomes the youngest running request. False: the cache has no room.
  bool admit_head(SimTime now) { return admit_head(now, look_up_head()); }
  bool admit_head(SimTime now, const Lookup& found);
  // `r` loses its memory and goes to the front of the queue. It must not be in the plan yet.
  void preempt(RequestIndex r);

  // To be told once, when the rules stop with requests still waiting.
  void blocked_by(WaitReason reason) { reason_ = reason; }
  WaitReason reason() const { return reason_; }

 private:
  bool decode_with_cache(RequestIndex r);
  Tokens after_decode(const LiveRequest& request) const;
  Tokens head_target() const;
  Tokens head_in_flight(const Lookup& found) const;
  void reserve_points(LiveRequest& request, Tokens after);
  bool grow(LiveRequest& request, Tokens length);
  bool unpin_waiting();

  std::vector<LiveRequest>& slots_;
  std::vector<RequestIndex>& running_;
  std::deque<RequestIndex>& waiting_;
  KvCache& cache_;
  const EngineLimits& limits_;
  StepPlan& plan_;
  EngineObserver* observer_;            // may be null
  std::vector<RequestIndex>* loading_;  // null: there are no tiers
  Tokens budget_;
  std::size_t preempted_ = 0;
  bool prefill_allowed_ = true, decode_allowed_ = true;
  WaitReason reason_ = WaitReason::nothing_waits;
};

class SchedulerRules {
 public:
  virtual ~SchedulerRules() = default;
  // Fills the batch for one step. Must schedule something when anything runs or can be admitted,
  // unless the batch does not allow prefill or decode.
  virtual void plan(Batch& batch, SimTime now) = 0;
  // The last plan let every running request decode one token and did nothing else. Would it be made
  // again, as often as may be, while nothing changes but their contexts? `anyone_waits`: requests do.
  virtual bool repeats(bool anyone_waits) const {
    static_cast<void>(anyone_waits);
    return false;
  }
  // It was made again so many times, without plan() being asked.
  virtual void repeated(std::int64_t times) { static_cast<void>(times); }
  // Whether plan() would run prompt tokens if it were asked now and prefill were allowed: what the
  // attention ranks of an engine tell each other before one of them may. A guess where only memory
  // could refuse.
  virtual bool wants_prefill(const Batch& batch) const { return !batch.waiting().empty(); }
  // All requests are gone, with whoever served them: what is remembered of them is void, and the
  // next plan is that of an engine that has just been started.
  virtual void restarted() {}
  // Whether plan() need not be asked where nobody runs or waits: it would neither do nor remember
  // anything.
  virtual bool rests_when_idle() const { return false; }
};

// What a launch says of its scheduler. What an engine's rules do not know they leave alone.
struct SchedulerParameters {
  std::int64_t attention_ranks = 1;     // that share the engine
  bool mixed_chunk = false;             // decodes run beside prefill where prefill goes first
  Tokens long_prefill_token_threshold;  // most prompt tokens of one request in a step; 0 = no cap
  std::map<std::string, double>
      options;  // values of the parameters in SchedulerTraits, all of them
};

using SchedulerRegistry =
    Registry<std::unique_ptr<SchedulerRules> (*)(const SchedulerParameters& parameters)>;

// Throws InputError (without a place) for an unknown name.
std::unique_ptr<SchedulerRules> make_scheduler(const std::string& name,
                                               const SchedulerParameters& parameters = {});

}  // namespace v4cap
