// A plan as a file asks for it: a sweep file (sim/sweep/sweep_file.h) whose axes are the deployments
// to choose from and whose thresholds are the SLO, and beside it
//
//   base: agents_weka_v8.yaml
//   axes:                       keys of the deployment, the engine or the cache; none: the base alone
//     deployment.data_parallel: [1, 8]
//   thresholds:                 of a run's summary, or goodput; default: the base's slo
//     - ttft_ms.p99 <= 30000
//     - goodput >= 0.95
//   seeds: [1, 2, 3]
//   goodput: {ttft: 5 s, tpot: 40 ms}       what a good request keeps
//   load:                       sessions at a time, or requests a second: what the arrivals count
//     from: 4
//     to: 400
//     asked: 120                the load to carry; without it, the cheapest task is looked for (money.h)
//     tolerance: 0.05           of the answer
//   sample:                     how much traffic one run plays (trial.h)
//     rounds: 2
//     ramp: 30 min
//     think_at_most: 10 s
//   search: {exact_up_to: 12, first_size: 0.25}    deployment_search.h
//   prices: on-demand-2026      prices.h; without it, cost is counted in GPUs
//   levers:                     what to try on the answer; default: levers.h
//     - {engine.max_running: 512}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/plan/load_search.h"
#include "sim/plan/prices.h"
#include "sim/plan/trial.h"
#include "sim/sweep/plan.h"

namespace v4cap {

// Keys that are changed together, and what for.
struct Lever {
  std::string name;
  std::vector<std::pair<std::string, std::string>> set;  // path, value as YAML
  Place place;
};

struct SearchRule {
  std::int64_t exact_up_to = 12;  // so many deployments are all run at full length
  double first_size = 0.25;       // share of the sample in the first round of more than that
  // What the answer holds by the profile's error is searched; off where answers are compared that
  // share it.
  bool vary_steps = true;
  // The front is completed by runs of its own; off where nobody reads it.
  bool fill_front = true;
};

struct PlanFile {
  SweepFile sweep;  // without seeds
  std::vector<std::uint64_t> seeds;
  LoadUnit unit = LoadUnit::sessions;
  LoadRange load;
  std::optional<double> asked;
  TrialRules rules;
  SearchRule search;
  std::optional<PriceTable> prices;
  Place prices_place;
  std::optional<std::vector<Lever>> levers;
};

// Throws InputError with everything that is wrong.
PlanFile read_plan_file(const std::string& path, const std::vector<std::string>& set,
                        std::optional<std::uint64_t> seed, const std::string& trace_dir);

// The scenario of a point of `plan`, further keys set.
Scenario scenario_of_point(const SweepPlan& plan, const PlannedPoint& point,
                           const std::string& trace_dir, const Lever* lever = nullptr);

}  // namespace v4cap
