// Which deployment carries the load for the least money, and what it would hold.
//
// For every deployment of the plan the load that it holds is searched, for every seed. As many
// engines (replicas) as the asked load needs side by side are its price; a router that spreads
// sessions evenly is assumed.
//
//   exact    up to search.exact_up_to deployments: each is searched at full length. What a deployment
//            holds is what every seed holds, so that a further seed only makes it dearer: one that is
//            dearer with its first seed than the cheapest is with all of them needs no other
//   halving  more than that: rounds of one seed on a part of the sample, half as many deployments
//            in each next one on twice the part, until exact_up_to / 2 are left for the full
//            length. A deployment that would only win on a long run can be lost on the way; the
//            share that was not run at full length is reported
//
// Cheapest: the least price of an hour for the asked load. Without one, of a task (money.h), at that
// of the loads within the SLO that were run at which it costs least: often less than what is held, as
// sessions that wait for each other hold a place and do nothing. What a seed more finds is dearer
// again, never cheaper: a task's price is that of the dearest seed. Equal prices go to the larger
// load held, then to the order of the plan.
//
// The front of throughput against interactivity is of full-length runs of the first seed. A search
// runs a deployment near what it holds, so that a slower one alone would be seen under light load.
// Therefore the answer is run from the least load up as well, and every deployment of full length
// under the load of a GPU of every point of the front, unless its other runs say that it cannot beat
// that point: its users get less already under less load, or its GPUs serve less even under more. A
// point that a run of the answer comes within 1 % of in both is left to the answer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/plan/launch_command.h"
#include "sim/plan/levers.h"
#include "sim/plan/model_error.h"
#include "sim/plan/money.h"
#include "sim/plan/plan_file.h"

namespace v4cap {

struct CheapestLoad {
  double load = 0, task_cost = 0;
};

struct DeploymentResult {
  std::size_t point = 0;            // of the plan
  std::vector<std::string> values;  // of the axes
  Scenario scenario;
  std::string reason;                  // why it is infeasible; "" = it is not
  double size = 0;                     // share of the sample in its last round; 1 = full length
  std::vector<HeldLoad> by_seed;       // in its last round; a part of the seeds where size < 1
  std::vector<CheapestLoad> cheapest;  // by seed: where a task costs least within what it holds
  double held = 0;                     // by every seed that was run
  std::int64_t replicas = 0;           // that carry the asked load; 1 without one; 0 = none do
  double price = 0;                    // what the search ranks by: of an hour of all, or of a task
  std::vector<Trial> trials;           // of full length, by seed and in the order they were run
  std::vector<Trial> for_front;        // of the first seed, run for the front alone

  bool keeps_slo() const { return reason.empty() && held > 0; }
};

// Why a deployment is no answer: it does not run, or which threshold it misses at the least load.
// "" for one that holds something.
std::string why_not(const PlanFile& file, const DeploymentResult& deployment);

struct LeverGain {
  Lever lever;
  std::string reason;       // why it cannot run; "" = it can
  double held = 0;          // by the first seed
  double held_without = 0;  // the deployment as it is, by that seed; every seed may hold less
  double gain = 0;          // held over held_without, less 1
};

struct FrontierPoint {
  std::size_t deployment = 0;
  Trial trial;
};

// Whether a deployment with these `runs` (of one seed) may serve both its users and its GPUs better
// than `point` if it is run under `load`: but for noise, more load gives no user more tokens a second,
// and no GPU fewer. False where it was run under that load.
bool may_beat(const Trial& point, double load, const std::vector<Trial>& runs);

struct PlanAnswer {
  SweepPlan plan;
  std::vector<DeploymentResult> deployments;  // in the order of the plan
  std::optional<std::size_t> best;
  std::size_t at_full_length = 0;   // deployments
  std::size_t with_every_seed = 0;  // of those
  std::size_t rounds = 1;
  std::int64_t runs = 0;

  // Of the best, each empty or 0 without one.
  double replica_load = 0;      // of the asked load, or where a task costs least
  std::vector<Trial> at_load;   // at replica_load, by seed
  std::optional<Trial> beyond;  // of the first seed at the smallest load that failed
  SeedInterval held;
  ModelError error;
  std::optional<double> held_slow, held_fast;  // by the first seed, steps longer or shorter by it
  std::vector<LeverGain> levers;               // largest gain first
  MoneyAnswer money;
  LaunchCommand launch;
  std::string profile_yaml;  // the resolved scenario of one engine, at replica_load where it can be

  std::vector<FrontierPoint> frontier;  // by interactivity, slowest first

  // What the best holds if steps are longer or shorter by the profile's error: the change that the
  // first seed shows, laid on what every seed holds. Noise may put both on one side; what is held
  // without an error is always within. Only where the error is known.
  double error_low() const;
  double error_high() const;

  double skipped_share() const;  // of the deployments that can run
};

struct PlanHooks {
  std::function<bool()> go_on{};                   // asked often; false stops the search
  std::function<void(const std::string&)> says{};  // what is being done, for people
};

// Throws InputError for what is wrong in some deployments, Simulation::Interrupted when stopped.
PlanAnswer search_deployments(const PlanFile& file, const PointOptions& options,
                              const PlanHooks& hooks);

}  // namespace v4cap
