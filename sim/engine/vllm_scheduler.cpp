// Scheduler `vllm`: running requests first, one budget for decodes and prompts (vLLM V1,
// vllm/v1/core/sched/scheduler.py).
//
//   1. Running requests in order of admission, decoding or not, each take what they have to run
//      from the step's budget. When memory runs out, the latest running request is preempted until
//      there is room (or the one that asked was the latest itself, and the step ends with it).
//   2. With budget left, a slot free and nobody preempted, requests are admitted in order of
//      arrival; what does not fit of the last one's prompt follows in the next steps.
//   3. A prompt takes at most long_prefill_token_threshold tokens of a step where that is set.
#include "sim/engine/scheduler.h"
#include "sim/engine/scheduler_traits.h"

namespace v4cap {

namespace {

const std::string kName = "vllm";

class VllmScheduler final : public SchedulerRules {
 public:
  explicit VllmScheduler(const SchedulerParameters& parameters)
      : most_(parameters.long_prefill_token_threshold > Tokens{0}
                  ? parameters.long_prefill_token_threshold
                  : Tokens{std::numeric_limits<std::int64_t>::max()}) {}

  void plan(Batch& batch, SimTime now) override {
    run_running(batch);
    admit_waiting(batch, now);
  }
  // It remembers nothing: who could not be admitted cannot be either while nobody ends.
  bool repeats(bool) const override { return true; }

 private:
  void run_running(Batch& batch) const {
    const auto& running = batch.running();
    for (std::size_t i = 0; i < running.size() && batch.budget() > Tokens{0}; ++i) {
      if (batch.request(running[i]).state != RequestState::decoding) {
        batch.prefill(running[i], most_);
        continue;
      }
      while (!batch.decode(running[i])) {
        const bool itself = running.size() - 1 == i;
        batch.preempt(running.back());
        if (itself) return;
      }
    }
  }

  void admit_waiting(Batch& batch, SimTime now) const {
    while (!batch.waiting().empty()) {
      if (batch.preempted() > 0) return batch.blocked_by(WaitReason::memory);
      const auto running = static_cast<std::int64_t>(batch.running().size());
      if (running >= batch.limits().max_running) return batch.blocked_by(WaitReason::running_cap);
      if (batch.budget() <= Tokens{0}) return batch.blocked_by(WaitReason::step_tokens);
      if (!batch.admit_head(now)) return batch.blocked_by(WaitReason::memory);
      batch.prefill(batch.running().back(), most_);
    }
  }

  Tokens most_;  // prompt tokens of one request in a step
};

const bool registered = SchedulerRegistry::add(
    kName, [](const SchedulerParameters& parameters) -> std::unique_ptr<SchedulerRules> {
      return std::make_unique<VllmScheduler>(parameters);
    });

const bool described = SchedulerTraitsRegistry::add(
    kName,
    {.mixes_chunks = false, .delays_prefill = false, .caps_long_prompts = true, .parameters = {}});

}  // namespace

}  // namespace v4cap
