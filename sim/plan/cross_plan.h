// What an endpoint profile costs that was chosen for other traffic: the answer of every plan under
// the traffic of every plan.
//
// A profile is all that a resolved scenario says of the endpoint: model, hardware, measured times,
// deployment, engine, KV cache. Traffic is the rest (workload, seed) with what its plan asks: SLO,
// range of loads, sample, seeds. Each pair is searched as a plan of one deployment, so that its
// figures mean what those of a plan do.
//
// Money is compared by task (money.h), each pair at the load within the SLO at which its tasks cost
// least: an hour's price moves by whole engines only. What is lost is taken seed by seed, as equal
// seeds draw the same traffic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/plan/deployment_search.h"

namespace v4cap {

struct AnsweredPlan {
  PlanFile file;
  PlanAnswer answer;
};

struct CrossCell {
  std::size_t profile = 0, traffic = 0;  // of the plans
  std::string reason;                    // why it serves nothing; "" = it serves

  double held = 0;  // by every seed, one engine
  SeedInterval held_of_seeds;
  std::int64_t engines = 1, gpus = 0;  // that carry the load that was asked for
  double hour = 0;                     // price of them
  std::string task;                    // "trajectory", "session" or "request"
  double cheapest_load = 0;            // of an engine, where a task costs least
  std::vector<double> task_cost;       // there, by seed
  std::optional<SeedInterval> task_interval, million_tokens;
  // Cost of a task over that of the traffic's own profile, less 1; empty for that profile itself.
  std::optional<SeedInterval> extra;
};

struct CrossPlan {
  std::string unit;  // "USD", or "GPU-hours" without a price table
  // By traffic, its own profile first. Plans without an answer give no profile.
  std::vector<CrossCell> cells;
};

// Throws InputError for plans of one name, whose bases lie in different folders (a profile would not
// find its files), or with different prices; Simulation::Interrupted when stopped.
CrossPlan cross_plans(const std::vector<AnsweredPlan>& plans, const PointOptions& options,
                      const PlanHooks& hooks);

// What cross_plans refuses, before anything is searched.
void check_crossing(const std::vector<PlanFile>& files);

// The plan that a pair is searched by: `traffic` with the one deployment of `profile`.
PlanFile crossed_plan(const PlanFile& traffic, const Scenario& profile);

}  // namespace v4cap
