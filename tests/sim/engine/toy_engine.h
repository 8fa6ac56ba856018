// A small engine for tests, with round costs of memory, and a driver that performs its plans.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/engine/engine.h"
#include "tests/sim/cache/toy_layout.h"
#include "tests/sim/cache/toy_model.h"

namespace v4cap {

struct ToyEngine {
  std::string policy = "full";
  ToyCosts costs{1'000'000, 1, 0, 0, 0};
  std::int64_t max_running = 8;
  Tokens step_tokens{256};
  Tokens max_context{1'000'000};
  bool reuse_generated = true;
  Tokens block{64};
  std::string scheduler = "fcfs";
  SchedulerParameters rules;
  std::size_t layers = 2;             // `recompute` rebuilds layers x 128 tokens
  std::vector<double> acceptance{1};  // chances of 1, 2, ... tokens a decode step
  std::uint64_t acceptance_seed = 1;
  bool asks_always = false;  // EngineLimits

  std::unique_ptr<Engine> make() const {
    auto cache =
        std::make_unique<KvCache>(std::make_unique<ToyLayout>(costs),
                                  make_policy(policy, toy_geometry(layers), block, {}), block);
    const Acceptance drawn(acceptance, acceptance_seed);
    return std::make_unique<Engine>(
        EngineLimits{max_running, step_tokens, max_context, drawn.drafts(), asks_always},
        std::move(cache), make_scheduler(scheduler, rules), reuse_generated, drawn);
  }
};

// Blocks are named key, key + 1, ...: equal keys are equal prefixes.
inline RequestSpec toy_request(std::uint32_t id, std::int64_t prompt, std::int64_t output,
                               std::int64_t key, Tokens block = Tokens{64}) {
  return {id, Tokens{prompt}, Tokens{output}, {{key, (prompt + output) / block.value}}};
}

// A piece with the request's own id instead of its slot.
struct SeenPiece {
  std::uint32_t id;
  PieceKind kind;
  std::int64_t past, tokens;
  bool emits;
  bool operator==(const SeenPiece&) const = default;
};

// Runs an engine step by step, a millisecond each, and keeps what it saw.
class ToyDriver {
 public:
  explicit ToyDriver(const ToyEngine& settings) : engine_(settings.make()) {}

  Engine& engine() { return *engine_; }
  // `read`: how long the host read the prompt before.
  bool submit(RequestSpec spec, Duration read = {}) {
    RequestRecord refused;
    const bool taken = engine_->submit(std::move(spec), now_ - read, now_, refused);
    if (!taken) records.push_back(refused);
    return taken;
  }

  // One step; the pieces it ran, none when the engine has nothing to do.
  std::vector<SeenPiece> step() {
    std::vector<SeenPiece> seen;
    const StepPlan& plan = engine_->plan_step(now_);
    for (const StepPiece& p : plan.pieces) {
      seen.push_back(
          {engine_->request(p.request).id, p.kind, p.past.value, p.tokens.value, p.emits_token});
    }
    now_ += Duration{1'000'000};
    if (!seen.empty()) engine_->finish_step(now_, records);
    steps.push_back(seen);
    return seen;
  }

  void run() {
    while (engine_->has_work()) step();
    engine_->check_drained();
  }

  const RequestRecord& record(std::uint32_t id) const {
    for (const RequestRecord& r : records) {
      if (r.id == id) return r;
    }
    V4CAP_CHECK(false, "no record of request " + std::to_string(id));
    return records.front();
  }

  // Tokens that all steps ran of one request, by kind.
  std::int64_t tokens_run(std::uint32_t id, PieceKind kind) const {
    std::int64_t sum = 0;
    for (const auto& step : steps) {
      for (const SeenPiece& p : step) sum += p.id == id && p.kind == kind ? p.tokens : 0;
    }
    return sum;
  }

  std::vector<RequestRecord> records;  // in order of their end
  std::vector<std::vector<SeenPiece>> steps;

 private:
  std::unique_ptr<Engine> engine_;
  SimTime now_ = kSimStart;
};

}  // namespace v4cap
