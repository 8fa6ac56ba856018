#include "sim/cluster/run_scenario.h"

#include <string>
#include <utility>

#include "sim/cache/block_keys.h"
#include "sim/cost/roofline.h"
#include "sim/model/node_memory.h"
#include "traces/generate.h"
#include "traces/prefix_stats.h"
#include "traces/reader.h"

namespace v4cap {

namespace {

Place place_of(const Scenario& scenario, const std::string& path) {
  const auto it = scenario.places.find(path);
  return it == scenario.places.end() ? Place{scenario.file} : it->second;
}

// Runs `make`; an error without a place is one about the value at `path`.
template <class Make>
auto at_place(const Scenario& scenario, const std::string& path, Make make) {
  try {
    return make();
  } catch (const InputError& error) {
    if (!error.diagnostics().front().place.file.empty()) throw;
    throw InputError(place_of(scenario, path), path + ": " + error.diagnostics().front().message);
  }
}

}  // namespace

void check_blocks(const Scenario& scenario, const Trace& trace) {
  const Tokens block = scenario.kv_cache.block;
  if (blocks_compatible(trace.block, block)) {
    const std::int64_t bound = id_bound(trace.block, block);
    if (trace.next_free_id <= bound) return;
    throw InputError(Place{trace.name}, "expected block ids below " + std::to_string(bound) +
                                            ", got ids up to " +
                                            std::to_string(trace.next_free_id - 1));
  }
  throw InputError(place_of(scenario, "kv_cache.block_tokens"),
                   "kv_cache.block_tokens: expected a multiple or a divisor of the " +
                       std::to_string(trace.block.value) + "-token blocks of " + trace.name +
                       ", got " + std::to_string(block.value));
}

void check_can_run(const Scenario& scenario) {
  const Deployment& d = scenario.deployment;
  const auto refuse = [&](const std::string& key, const std::string& expected, std::int64_t got) {
    const std::string path = "deployment." + key;
    throw InputError(place_of(scenario, path),
                     path + ": expected " + expected + ", got " + std::to_string(got));
  };
  if (d.data_parallel > 1) {
    refuse("data_parallel", "1, a run models one attention rank (capacity takes more)",
           d.data_parallel);
  }
  if (d.expert_parallel > 1) {
    refuse("expert_parallel", "1, a run cuts experts by tensor parallelism (capacity takes more)",
           d.expert_parallel);
  }
  if (d.tensor_parallel > scenario.hardware.gpus_per_node) {
    refuse("tensor_parallel",
           "at most the node's GPUs (" + std::to_string(scenario.hardware.gpus_per_node) +
               "), a run has no network between nodes (capacity takes more)",
           d.tensor_parallel);
  }
}

Trace load_workload(const Scenario& scenario) {
  const WorkloadConfig& workload = scenario.workload;
  Trace trace;
  if (workload.synthetic) {
    trace = generate_trace(*workload.synthetic, scenario.seed);
  } else {
    TraceReadOptions options;
    options.format = workload.format;
    options.spread_instants = workload.spread_instants;
    options.max_requests = workload.max_requests;
    options.seed = scenario.seed;
    trace = read_trace(workload.trace, options);
  }
  check_blocks(scenario, trace);
  return trace;
}

NodeMemory memory_of_gpu(const Scenario& scenario) {
  const KvCacheConfig& kv = scenario.kv_cache;
  MemoryQuestion question{scenario.model, scenario.hardware.gpu};
  question.widths = scenario.deployment.widths();
  question.memory_fraction = kv.memory_fraction;
  question.reserve = kv.reserve;
  question.rules = kv.memory_rules;
  question.step_tokens = scenario.engine.step_tokens;
  question.draft = scenario.engine.draft_tokens > 0 && !kv.memory_rules.empty();
  return node_memory(question);
}

void check_layout_options(const Scenario& scenario) {
  const KvCacheConfig& kv = scenario.kv_cache;
  const auto* parameters = LayoutParameters::find(kv.layout);
  if (parameters == nullptr) return;
  std::vector<Diagnostic> errors;
  for (const LayoutParameter& p : *parameters) {
    const auto it = kv.layout_options.find(p.name);
    if (it == kv.layout_options.end()) continue;
    const std::string refused = refused_value(p, it->second);
    if (refused.empty()) continue;
    const std::string path = "kv_cache.layout_options." + p.name;
    errors.push_back({place_of(scenario, path), path + ": " + refused + " (" + p.meaning + ")"});
  }
  if (!errors.empty()) throw InputError(std::move(errors));
}

CacheParts make_cache_parts(const Scenario& scenario, Bytes memory) {
  const KvCacheConfig& kv = scenario.kv_cache;
  const EntryFormat entry =
      entry_on_rank(kv.entry, scenario.model, scenario.deployment.tensor_parallel);
  const CacheGeometry geometry(scenario.model, entry);
  CacheParts parts;
  parts.policy = at_place(scenario, "kv_cache.swa_policy", [&] {
    return make_policy(kv.swa_policy, geometry, kv.block, kv.recompute_threshold, kv.rebuild_page);
  });
  check_layout_options(scenario);
  if (parts.policy->window_pool_ratio() && !layout_traits(kv.layout).window_pool) {
    throw InputError(place_of(scenario, "kv_cache.swa_policy"),
                     "kv_cache.swa_policy: expected another policy, " +
                         lacks_window_pool(kv.layout) + ", got '" + kv.swa_policy + "'");
  }
  parts.layout = at_place(scenario, "kv_cache.layout", [&] {
    LayoutContext context{geometry, scenario.model, kv.block, memory,
                          parts.policy->window_pool_ratio()};
    context.options = kv.layout_options;
    context.entry = entry;
    context.step_tokens = scenario.engine.step_tokens;
    context.steps_in_flight = scenario.engine.steps_in_flight;
    context.draft_tokens = scenario.engine.draft_tokens;
    context.max_running = scenario.engine.max_running;
    context.max_context = scenario.engine.max_context;
    context.window_of_every_token = parts.policy->stores_window_of_every_token();
    return make_layout(kv.layout, context);
  });
  return parts;
}

std::unique_ptr<Engine> make_engine(const Scenario& scenario) {
  const KvCacheConfig& kv = scenario.kv_cache;
  CacheParts parts =
      make_cache_parts(scenario, kv.memory ? *kv.memory : memory_of_gpu(scenario).kv);
  auto rules = at_place(scenario, "engine.scheduler",
                        [&] { return make_scheduler(scenario.engine.scheduler); });
  const EngineLimits limits{scenario.engine.max_running, scenario.engine.step_tokens,
                            scenario.engine.max_context};
  return std::make_unique<Engine>(
      limits, std::make_unique<KvCache>(std::move(parts.layout), std::move(parts.policy), kv.block),
      std::move(rules), kv.reuse_generated);
}

RunResult run_scenario(const Scenario& scenario, const Trace& trace,
                       const ProgressFunction& progress) {
  check_can_run(scenario);
  check_blocks(scenario, trace);
  const auto engine = make_engine(scenario);
  const RooflineCost cost({scenario.model, scenario.deployment.tensor_parallel,
                           scenario.kv_cache.entry, scenario.kv_cache.indexer},
                          scenario.hardware);
  Workload workload(trace, scenario.workload, scenario.seed);
  Simulation simulation(trace, workload, *engine, cost);
  RunResult result = simulation.run(progress);
  result.gpus = scenario.deployment.tensor_parallel;
  if (trace.block > Tokens{0}) {
    result.totals.ideal_hit_rate =
        ideal_hit_rate(trace, scenario.kv_cache.reuse_generated ? GeneratedTokens::kept
                                                                : GeneratedTokens::forgotten);
  }
  return result;
}

}  // namespace v4cap
