// Synthetic traces without ids and a cost model that always says the same, for tests of the
// simulated world.
#pragma once

#include <algorithm>
#include <utility>

#include "sim/cluster/simulation.h"
#include "sim/cost/operators.h"
#include "tests/sim/engine/toy_engine.h"

namespace v4cap {

// Every step takes the same time.
class ConstantCost final : public CostModel {
 public:
  explicit ConstantCost(Duration step) : step_(step) {}
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const>) const override {
    return {step_, Duration{0}, {}};
  }

 private:
  Duration step_;
};

// Proportional to the tokens of the slowest rank, plus a fixed part; all of it on the GPU.
class LinearCost final : public CostModel {
 public:
  using CostModel::step_time;
  StepTime step_time(std::span<const StepPlan* const> ranks) const override {
    std::int64_t tokens = 0;  // of the slowest rank
    for (const StepPlan* plan : ranks) tokens = std::max(tokens, rank_tokens(*plan).tokens);
    StepTime time;
    time.total = time.gpu = Duration{1'000'000 + 1'000 * tokens};
    return time;
  }
};

inline TraceRequest& add_request(Trace& trace, std::int64_t prompt, std::int64_t output,
                                 SimTime at = kSimStart) {
  TraceRequest request;
  request.prompt = Tokens{prompt};
  request.output = Tokens{output};
  request.arrival = at - kSimStart;
  request.runs_begin = request.runs_end = static_cast<std::uint32_t>(trace.runs.size());
  request.after_begin = request.after_end = static_cast<std::uint32_t>(trace.after.size());
  trace.has_arrivals = true;
  trace.requests.push_back(request);
  return trace.requests.back();
}

// So many attention ranks, each an engine as `settings` has it.
inline Replica toy_ranks(const ToyEngine& settings, std::size_t ranks,
                         const std::string& router = "round_robin", RankRules rules = {}) {
  std::vector<std::unique_ptr<Engine>> engines;
  for (std::size_t i = 0; i < ranks; ++i) engines.push_back(settings.make());
  return {std::move(engines), make_router(router), rules};
}

inline RunResult play_on(Replica& replica, const Trace& trace, const WorkloadConfig& config,
                         const CostModel& cost, std::uint64_t seed = 1, HostRules host = {},
                         RecordRules records = {}) {
  Trace played = trace;
  if (config.arrivals == ArrivalMode::client) add_warmups(config, played);
  Workload workload(played, config, seed);
  return Simulation(played, workload, replica, cost, host, records).run();
}

inline RunResult play(const Trace& trace, const WorkloadConfig& config, const ToyEngine& settings,
                      const CostModel& cost, std::uint64_t seed = 1, HostRules host = {},
                      RecordRules records = {}) {
  Replica replica(settings.make());
  return play_on(replica, trace, config, cost, seed, host, std::move(records));
}

}  // namespace v4cap
