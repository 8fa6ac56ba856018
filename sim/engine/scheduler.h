// The rules of one engine: in which order sequences get tokens of a step, who is admitted, who is
// preempted. One file per engine, registered by name. Rules act through Batch, which keeps
// requests, cache and plan consistent; they hold no clock and see no device.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "sim/cache/kv_cache.h"
#include "sim/core/registry.h"
#include "sim/engine/request.h"
#include "sim/engine/step_plan.h"

namespace v4cap {

struct EngineLimits {
  std::int64_t max_running = 0;
  Tokens step_tokens;  // new tokens of all sequences in one step
  Tokens max_context;  // prompt + output
};

// Why requests are still waiting after a step was planned.
enum class WaitReason : std::uint8_t { nothing_waits, memory, running_cap, step_tokens };

// What the rules see and may do while one step is planned.
class Batch {
 public:
  Batch(std::vector<LiveRequest>& slots, std::vector<RequestIndex>& running,
        std::deque<RequestIndex>& waiting, KvCache& cache, const EngineLimits& limits,
        StepPlan& plan)
      : slots_(slots),
        running_(running),
        waiting_(waiting),
        cache_(cache),
        limits_(limits),
        plan_(plan),
        budget_(limits.step_tokens) {}

  // Running requests in order of admission, and the queue in order of arrival.
  const std::vector<RequestIndex>& running() const { return running_; }
  const std::deque<RequestIndex>& waiting() const { return waiting_; }
  const LiveRequest& request(RequestIndex r) const { return slots_[r]; }
  const EngineLimits& limits() const { return limits_; }
  Tokens budget() const { return budget_; }
  std::size_t preempted() const { return preempted_; }

  // One decode token of a decoding request. False: the cache has no room for it.
  bool decode(RequestIndex r);
  // As much of what a rebuilding or prefilling request still has to run as the budget allows.
  void prefill(RequestIndex r);
  // The head of the queue becomes the youngest running request. False: the cache has no room.
  bool admit_head(SimTime now);
  // `r` loses its memory and goes to the front of the queue. It must not be in the plan yet.
  void preempt(RequestIndex r);

  // To be told once, when the rules stop with requests still waiting.
  void blocked_by(WaitReason reason) { reason_ = reason; }
  WaitReason reason() const { return reason_; }

 private:
  std::vector<LiveRequest>& slots_;
  std::vector<RequestIndex>& running_;
  std::deque<RequestIndex>& waiting_;
  KvCache& cache_;
  const EngineLimits& limits_;
  StepPlan& plan_;
  Tokens budget_;
  std::size_t preempted_ = 0;
  WaitReason reason_ = WaitReason::nothing_waits;
};

class SchedulerRules {
 public:
  virtual ~SchedulerRules() = default;
  // Fills the batch for one step. Must schedule something when anything runs or can be admitted.
  virtual void plan(Batch& batch, SimTime now) = 0;
};

using SchedulerRegistry = Registry<std::unique_ptr<SchedulerRules> (*)()>;

// Throws InputError (without a place) for an unknown name.
std::unique_ptr<SchedulerRules> make_scheduler(const std::string& name);

}  // namespace v4cap
