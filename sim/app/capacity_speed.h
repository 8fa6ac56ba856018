// What `v4cap capacity` says of time without a run: how fast a full node decodes at each context
// length, beside other models, and what rebuilding a window costs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/app/capacity_study.h"
#include "sim/cluster/run_scenario.h"
#include "sim/cost/cost_model.h"

namespace v4cap {

// One decode step of as many sequences of one length as the KV memory holds, no more than
// engine.max_running, on every attention rank.
struct DecodeSpeed {
  std::string model;
  Tokens context;
  std::int64_t sequences = 0;  // of one rank; 0: not even one fits
  double step_s = 0;
  double tokens_s_per_gpu = 0;
  std::optional<double> over_other;  // the first model's speed over this one's
  TimeShare share;
};

// The scenario's model first, then the others under layout ideal with all they need kept, with the
// profile of the scenario. At 4 Ki to 1 Mi tokens as far as the scenario's context goes.
std::vector<DecodeSpeed> decode_speeds(const CapacityOption& base, const ScenarioLoader& load,
                                       const std::vector<std::string>& models);
// `cost` is make_cost() of the option's scenario.
DecodeSpeed decode_speed(const CapacityOption& option, const CostModel& cost, Tokens context);

// The other model as decode_speeds() takes it. Throws RunError or InputError where it cannot run.
struct SpeedOption {
  CapacityOption option;
  ScenarioCost cost;
  DecodeSpeed at(Tokens context) const { return decode_speed(option, *cost.model, context); }
};
SpeedOption speed_option(const CapacityOption& base, const ScenarioLoader& load,
                         const std::string& model);

// Least context, to within one part in a hundred, from which the scenario's model decodes faster
// than the other for good; 1 where it always does; nothing when it never does.
std::optional<Tokens> speed_breakeven(const CapacityOption& base, const ScenarioLoader& load,
                                      const std::string& model);

// Running `tokens` tokens that end at `position` again, as rebuilds do, in chunks of
// engine.step_tokens on an otherwise idle rank.
struct RebuildTime {
  double total_s = 0, attention_s = 0;
};
RebuildTime rebuild_time(const Scenario& scenario, Tokens tokens, Tokens position);

}  // namespace v4cap
