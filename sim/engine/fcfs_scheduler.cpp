// Scheduler `fcfs`: continuous batching with chunked prefill under one token budget.
//
//   1. Every decoding request gets its next token. When memory runs out, the youngest running
//   request is
//      preempted until there is room (or the one that asked was the youngest itself).
//   2. What is left of the budget goes to unfinished prompts in order of admission: long prompts
//   are cut
//      into chunks, so that decodes do not wait for them.
//   3. With budget left and a slot free, requests are admitted in order of arrival; the head of the
//   queue
//      is never overtaken. Nobody is admitted in a step that preempted someone.
#include <algorithm>

#include "sim/engine/scheduler.h"

namespace v4cap {

namespace {

class FcfsScheduler final : public SchedulerRules {
 public:
  void plan(Batch& batch, SimTime now) override {
    const auto& running = batch.running();
    for (std::size_t i = decode_running(batch); i < running.size() && batch.budget() > Tokens{0};
         ++i) {
      if (batch.request(running[i]).state != RequestState::decoding) batch.prefill(running[i]);
    }
    admit_waiting(batch, now);
  }
  // It remembers nothing: who could not be admitted cannot be either while nobody ends.
  bool repeats(bool) const override { return true; }
  bool rests_when_idle() const override { return true; }

 private:
  // The first that does not decode; behind all where there is none.
  static std::size_t decode_running(Batch& batch) {
    const auto& running = batch.running();
    std::size_t first = running.size();
    for (std::size_t i = 0; i < running.size() && batch.budget() > Tokens{0}; ++i) {
      i += batch.decode_quietly(i);
      if (i == running.size() || batch.budget() <= Tokens{0}) break;
      if (batch.request(running[i]).state != RequestState::decoding) {
        first = std::min(first, i);
        continue;
      }
      while (!batch.decode(running[i])) {
        const bool itself = running.size() - 1 == i;
        batch.preempt(running.back());
        if (itself) return first;
      }
    }
    return first;
  }

  static void admit_waiting(Batch& batch, SimTime now) {
    while (!batch.waiting().empty()) {
      if (batch.preempted() > 0) return batch.blocked_by(WaitReason::memory);
      const auto running = static_cast<std::int64_t>(batch.running().size());
      if (running >= batch.limits().max_running) return batch.blocked_by(WaitReason::running_cap);
      if (batch.budget() <= Tokens{0}) return batch.blocked_by(WaitReason::step_tokens);
      if (!batch.admit_head(now)) return batch.blocked_by(WaitReason::memory);
      batch.prefill(batch.running().back());
    }
  }
};

const bool registered = SchedulerRegistry::add(
    "fcfs", [](const SchedulerParameters&) -> std::unique_ptr<SchedulerRules> {
      return std::make_unique<FcfsScheduler>();
    });

}  // namespace

}  // namespace v4cap
