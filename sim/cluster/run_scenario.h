// From a scenario to a result: reads or generates the workload, builds cache, engine and cost
// model, and runs.
#pragma once

#include <memory>

#include "sim/cluster/simulation.h"
#include "sim/config/scenario.h"
#include "sim/cost/operators.h"
#include "sim/cost/profile.h"
#include "sim/model/node_memory.h"
#include "sim/output/record.h"
#include "traces/trace.h"

namespace v4cap {

// The scenario's trace, read or generated. Throws InputError, also when its blocks do not nest with
// kv_cache.block_tokens.
Trace load_workload(const Scenario& scenario);

// One GPU of the scenario's engine from the bottom, whatever kv_cache.memory says. Throws RunError
// when nothing is left for the KV cache.
NodeMemory memory_of_gpu(const Scenario& scenario);

// Throws InputError for values of kv_cache.layout_options that the layout cannot take: fractions
// where whole numbers belong.
void check_layout_options(const Scenario& scenario);

// Throws InputError when a router or scaling policy does not take its argument or does not exist.
void check_router(const Scenario& scenario);

// Throws InputError for several replicas, autoscaling or faults: `who` drives one replica.
void check_one_replica(const Scenario& scenario, const std::string& who);

// The scenario's policy and layout for so much KV memory of one GPU, whatever the scenario says of
// memory.
struct CacheParts {
  std::unique_ptr<SwaPolicy> policy;
  std::unique_ptr<Layout> layout;
};
CacheParts make_cache_parts(const Scenario& scenario, Bytes memory);

// Throws InputError when the trace's blocks do not nest with kv_cache.block_tokens.
void check_blocks(const Scenario& scenario, const Trace& trace);

// The scenario's model as its deployment runs it, for cost models.
StepSetting step_setting(const Scenario& scenario);

// One attention rank as the scenario describes it; `asks_always`: EngineLimits, for tests. Throws
// RunError when its memory leaves nothing for the KV cache.
std::unique_ptr<Engine> make_engine(const Scenario& scenario, bool asks_always = false);

// Puts the scenario's tiers below the ranks of a replica: one for each rank, or one that all share.
// Nothing happens where there are none. Each replica of a cluster has its own.
void attach_tiers(const Scenario& scenario, Replica& replica);
// The links of those tiers.
TierLinks tier_links(const Scenario& scenario);

// One replica: all attention ranks of the scenario's deployment, each such an engine, behind its
// router, over its tiers. Throws like make_engine, and InputError for a router that does not exist.
std::unique_ptr<Replica> make_replica(const Scenario& scenario, bool asks_always = false);

// What a run models is a deployment within a node, with experts cut or spread over all its GPUs.
// Throws InputError for any other.
void check_can_run(const Scenario& scenario);

// Performed and recorded steps are of engines that run one after the other: throws InputError for
// several attention ranks, for a host that launches steps while the one before runs, and for tiers
// below GPU memory.
void check_steps_one_by_one(const Scenario& scenario);

// How long steps take: from the scenario's profile, else from the roofline. A profile of another GPU
// is transferred to the scenario's (sim/cost/transfer.h); its families are then marked so and its
// source says from what. One of v4exec is of whole layers (sim/cost/layer_cost.h), one of
// an engine's log of whole steps (sim/cost/step_fit_cost.h); neither is transferred, and the latter is
// of the deployment that it states. Throws InputError for a profile that is not there, broken, of
// another GPU and another engine than the cache layout's, or of steps of another deployment.
struct ScenarioCost {
  std::unique_ptr<Profile> profile;  // null under a roofline
  std::unique_ptr<CostModel> model;
  std::vector<std::string> missing;  // parts of a step that the profile does not hold
};
ScenarioCost make_cost(const Scenario& scenario);

// One run on parts of the caller's: a replica of the scenario, a model of its steps' times, and
// what else happens beside the steps (of `host` what the scenario says is set here).
RunResult run_parts(const Scenario& scenario, const Trace& trace, Replica& replica,
                    const CostModel& cost, HostRules host, const ProgressFunction& progress = {},
                    const RecordRules& records = {});

// One run, of a cluster where the scenario has one. Several runs may share a trace.
// `explained` gets the time of its steps by what takes it. `threads`: of a cluster whose replicas go
// on apart; no result depends on it.
RunResult run_scenario(const Scenario& scenario, const Trace& trace,
                       const ProgressFunction& progress = {}, StepLedgers* explained = nullptr,
                       const RecordRules& records = {}, unsigned threads = 1);

}  // namespace v4cap
