#include "sim/cluster/run_scenario.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "sim/cache/block_keys.h"
#include "sim/cluster/fault.h"
#include "sim/config/data_files.h"
#include "sim/config/profile_file.h"
#include "sim/config/transferred_profile.h"
#include "sim/cost/layer_cost.h"
#include "sim/cost/profile_cost.h"
#include "sim/cost/roofline.h"
#include "sim/cost/scaled_cost.h"
#include "sim/cost/step_fit_cost.h"
#include "sim/engine/scheduler_traits.h"
#include "sim/model/node_memory.h"
#include "traces/bench_serving.h"
#include "traces/cycle.h"
#include "traces/first_turns.h"
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

void check_drafts(const Scenario& scenario) {
  const EngineConfig& e = scenario.engine;
  const std::string path = "engine.draft_tokens";
  const auto refuse = [&](const std::string& expected) {
    throw InputError(place_of(scenario, path),
                     path + ": expected " + expected + ", got " + std::to_string(e.draft_tokens));
  };
  if (e.draft_steps > 0 && scenario.model.mtp_layers == 0) {
    refuse("0, " + scenario.model.name + " has no draft layer");
  }
  if (e.acceptance.empty()) {
    refuse("engine.acceptance_length beside it, " + scenario.model.name +
           " comes without one for so many");
  }
}

void check_tiers(const Scenario& scenario) {
  const KvCacheConfig& kv = scenario.kv_cache;
  for (const TierConfig& tier : kv.below.tiers) {
    if (!tier.points_every || *tier.points_every % kv.block == Tokens{0}) continue;
    const std::string path = "kv_cache.tiers." + tier.name + ".points_every";
    throw InputError(place_of(scenario, path), path + ": expected a multiple of the block of " +
                                                   std::to_string(kv.block.value) +
                                                   " tokens, got " +
                                                   std::to_string(tier.points_every->value));
  }
}

// As large as the scenario says, or so many times the KV memory of the ranks that it is for.
TierSpec tier_spec(const TierConfig& config, const Replica& replica, Tokens block) {
  TierSpec spec{.name = config.name,
                .capacity = {},
                .holds = {config.blocks, config.points},
                .points_every = config.points_every.value_or(block) / block,
                .to_live = {config.blocks_live, config.points_live}};
  if (config.capacity) {
    spec.capacity = *config.capacity;
    return spec;
  }
  Bytes memory;
  for (const PoolSpec& pool : replica.layout().pools()) memory += pool.capacity;
  const auto ranks = config.shared ? static_cast<double>(replica.size()) : 1.0;
  spec.capacity = Bytes{std::llround(static_cast<double>(memory.value) * ranks * config.times_gpu)};
  return spec;
}

// Faults strike replicas of both kinds.
void check_prefill(const Scenario& scenario) {
  const Scenario& reads = *scenario.prefill;
  const auto names = [](const Scenario& s) {
    std::string all;
    for (const TierConfig& tier : s.kv_cache.below.tiers) all += ' ' + tier.name;
    return all.empty() ? std::string(" none") : all;
  };
  for (std::size_t i = 0; i < scenario.cluster.faults.size(); ++i) {
    const FaultConfig& fault = scenario.cluster.faults[i];
    const FaultKind* kind = FaultKinds::find(fault.kind);
    if (kind == nullptr) continue;
    const auto refuse = [&](const std::string& expected, const std::string& got) {
      throw InputError(
          fault.stated ? *fault.stated : place_of(scenario, "cluster.faults"),
          "cluster.faults[" + std::to_string(i) + "]: expected " + expected + ", got" + got);
    };
    if (fault.rank >= reads.deployment.data_parallel) {
      refuse("a rank below " + std::to_string(reads.deployment.data_parallel) +
                 ", those of a replica that reads prompts",
             ' ' + std::to_string(fault.rank));
    }
    if ((kind->of_tier || (kind->of_link && fault.place != kTransferLinks)) &&
        names(reads) != names(scenario)) {
      refuse(fault.kind + " where replicas that read prompts have the tiers of the others (" +
                 names(scenario).substr(1) + ")",
             names(reads));
    }
  }
}

}  // namespace

void check_blocks(const Scenario& scenario, const Trace& trace) {
  if (scenario.prefill) check_blocks(*scenario.prefill, trace);
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
  if (scenario.prefill) {
    check_can_run(*scenario.prefill);
    check_prefill(scenario);
  }
  const auto refuse = [&](const std::string& key, const std::string& expected, std::int64_t got) {
    const std::string path = "deployment." + key;
    throw InputError(place_of(scenario, path),
                     path + ": expected " + expected + ", got " + std::to_string(got));
  };
  const std::int64_t node = scenario.hardware.gpus_per_node;
  const std::string within = "at most the node's GPUs (" + std::to_string(node) +
                             "), a run has no network between nodes (capacity takes more)";
  if (d.collectives && d.tensor_parallel > node) {
    refuse("tensor_parallel", within, d.tensor_parallel);
  }
  if (d.collectives && d.gpus() > node) {
    refuse("data_parallel", "tensor_parallel x data_parallel of " + within, d.gpus());
  }
  if (d.expert_parallel > 1 && d.expert_parallel != d.gpus()) {
    refuse("expert_parallel",
           "1 (experts cut over all GPUs) or all " + std::to_string(d.gpus()) +
               " of them (capacity takes widths between)",
           d.expert_parallel);
  }
  if (d.expert_parallel > 1 && scenario.model.moe.routed_experts < d.expert_parallel) {
    refuse("expert_parallel",
           "at most the experts of " + scenario.model.name + " (" +
               std::to_string(scenario.model.moe.routed_experts) + ")",
           d.expert_parallel);
  }
  check_drafts(scenario);
  check_tiers(scenario);
}

void check_steps_one_by_one(const Scenario& scenario) {
  if (const std::int64_t ranks = scenario.deployment.data_parallel; ranks > 1) {
    throw InputError(place_of(scenario, "deployment.data_parallel"),
                     "deployment.data_parallel: expected 1, steps are performed and recorded for "
                     "one attention rank, got " +
                         std::to_string(ranks));
  }
  if (scenario.engine.host.overlapped) {
    throw InputError(place_of(scenario, "engine.host.overlapped"),
                     "engine.host.overlapped: expected false, steps are performed and recorded one "
                     "after the other, got true");
  }
  check_one_replica(scenario, "steps are performed and recorded for one");
  if (!scenario.kv_cache.below.tiers.empty()) {
    throw InputError(place_of(scenario, "kv_cache.tiers"),
                     "kv_cache.tiers: expected none, steps are performed and recorded without "
                     "tiers below GPU memory");
  }
}

Trace load_workload(const Scenario& scenario) {
  const WorkloadConfig& workload = scenario.workload;
  Trace trace;
  if (workload.bench_serving) {
    trace = bench_serving_trace(*workload.bench_serving);
  } else if (workload.synthetic) {
    trace = generate_trace(*workload.synthetic, scenario.seed);
  } else {
    TraceReadOptions options;
    options.format = workload.format;
    options.spread_instants = workload.spread_instants;
    options.max_requests = workload.max_turns > 0 ? 0 : workload.max_requests;
    options.seed = scenario.seed;
    trace = read_trace(workload.trace, options);
    if (workload.max_turns > 0) {
      trace = first_turns(std::move(trace), workload.max_turns, workload.max_requests);
    }
  }
  if (workload.clip_to > Tokens{0}) {
    at_place(scenario, "workload.clip_to_tokens", [&] { clip_prompts(trace, workload.clip_to); });
  }
  if (workload.cycle_to > 0) {
    at_place(scenario, "workload.cycle_to_requests",
             [&] { cycle_requests(trace, workload.cycle_to); });
  }
  try {
    check_arrivals(workload, trace);
  } catch (const InputError& error) {  // what is to be changed stands in the scenario
    throw InputError(place_of(scenario, "workload.arrivals.mode"),
                     "workload.arrivals.mode: " + error.diagnostics().front().place.file + ": " +
                         error.diagnostics().front().message);
  }
  if (workload.arrivals == ArrivalMode::client) add_warmups(workload, trace);
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

void check_router(const Scenario& scenario) {
  if (scenario.prefill) {
    check_router(*scenario.prefill);
    at_place(scenario, "prefill.router",
             [&] { return make_router(scenario.cluster.prefill->router); });
  }
  at_place(scenario, "deployment.router", [&] { return make_router(scenario.deployment.router); });
  at_place(scenario, "cluster.router", [&] { return make_router(scenario.cluster.router); });
  if (!scenario.cluster.autoscale) return;
  at_place(scenario, "cluster.autoscale.policy",
           [&] { return make_scaling(scenario.cluster.autoscale->policy); });
}

void check_one_replica(const Scenario& scenario, const std::string& who) {
  if (!scenario.cluster.asked()) return;
  throw InputError(place_of(scenario, "cluster"),
                   "cluster: expected one replica without autoscaling or faults, " + who);
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

StepSetting step_setting(const Scenario& scenario) {
  const Deployment& d = scenario.deployment;
  return {.model = scenario.model,
          .tensor_parallel = d.tensor_parallel,
          .entry = scenario.kv_cache.entry,
          .indexer = scenario.kv_cache.indexer,
          .data_parallel = d.data_parallel,
          .expert_parallel = d.expert_parallel,
          .imbalance = scenario.engine.expert_imbalance,
          .draft_steps = scenario.engine.draft_steps,
          .collectives = d.collectives,
          .pyramid_rebuild = scenario.kv_cache.swa_policy == "recompute=pyramid"};
}

std::unique_ptr<Engine> make_engine(const Scenario& scenario, bool asks_always) {
  const KvCacheConfig& kv = scenario.kv_cache;
  CacheParts parts =
      make_cache_parts(scenario, kv.memory ? *kv.memory : memory_of_gpu(scenario).kv);
  const SchedulerParameters parameters{
      scenario.deployment.data_parallel, scenario.engine.mixed_chunk,
      scenario.engine.long_prefill_token_threshold, scenario.engine.scheduler_options};
  auto rules = at_place(scenario, "engine.scheduler",
                        [&] { return make_scheduler(scenario.engine.scheduler, parameters); });
  const EngineConfig& e = scenario.engine;
  // Whoever only looks at its memory may have an engine whose acceptance nobody knows.
  const Acceptance acceptance(
      e.acceptance.empty() ? acceptance_of_mean(e.draft_tokens, 1) : e.acceptance, scenario.seed);
  const EngineLimits limits{e.max_running, e.step_tokens, e.max_context, e.draft_tokens,
                            asks_always};
  return std::make_unique<Engine>(
      limits, std::make_unique<KvCache>(std::move(parts.layout), std::move(parts.policy), kv.block),
      std::move(rules), kv.reuse_generated, acceptance);
}

// What a tier stores of blocks and points: what these take on the GPU, unless it keeps less of a
// point.
Tier::Measure tier_measure(const TierConfig& config, const KvCache& cache) {
  if (!config.point_size) return cache.stored();
  return [stored = cache.stored(), size = config.point_size->value](StoredKind kind,
                                                                    std::int64_t block) {
    if (kind == StoredKind::block) return stored(kind, block);
    KindBytes point;
    point[CacheKind::swa] = size;
    return point;
  };
}

void attach_tiers(const Scenario& scenario, Replica& replica) {
  const KvCacheConfig& kv = scenario.kv_cache;
  if (kv.below.tiers.empty()) return;
  std::vector<std::shared_ptr<Tier>> shared(kv.below.tiers.size());
  for (std::size_t rank = 0; rank < replica.size(); ++rank) {
    const KvCache& cache = replica.rank(rank).cache();
    std::vector<TierStack::Level> levels;
    for (std::size_t i = 0; i < kv.below.tiers.size(); ++i) {
      const TierConfig& config = kv.below.tiers[i];
      std::shared_ptr<Tier> tier = config.shared ? shared[i] : nullptr;
      if (tier == nullptr)
        tier = std::make_shared<Tier>(tier_spec(config, replica, kv.block),
                                      tier_measure(config, cache));
      if (config.shared) shared[i] = tier;
      levels.push_back({std::move(tier), make_write_policy(config.write)});
    }
    replica.rank(rank).attach(std::make_unique<TierStack>(std::move(levels)));
  }
}

TierLinks tier_links(const Scenario& scenario) {
  const TiersConfig& below = scenario.kv_cache.below;
  TierLinks links;
  for (const TierConfig& tier : below.tiers) {
    links.tiers.push_back(
        {tier.read_bytes_per_s, tier.write_bytes_per_s, tier.latency, tier.shared, tier.drive});
  }
  if (below.layered) links.layers = static_cast<std::int64_t>(scenario.model.layers.size());
  return links;
}

RankRules rank_rules(const Scenario& scenario) {
  const EngineConfig& e = scenario.engine;
  RankRules rules;
  rules.prefill_alone = e.draft_tokens > 0 && scheduler_traits(e.scheduler).prefill_alone;
  if (e.prefill_delayer) {
    const auto it = e.scheduler_options.find("prefill_delay_steps");
    rules.delay_steps = it == e.scheduler_options.end() ? 1 : std::llround(it->second);
  }
  return rules;
}

std::unique_ptr<Replica> make_replica(const Scenario& scenario, bool asks_always) {
  auto router = at_place(scenario, "deployment.router",
                         [&] { return make_router(scenario.deployment.router); });
  std::vector<std::unique_ptr<Engine>> ranks;
  for (std::int64_t i = 0; i < scenario.deployment.data_parallel; ++i) {
    ranks.push_back(make_engine(scenario, asks_always));
  }
  auto replica =
      std::make_unique<Replica>(std::move(ranks), std::move(router), rank_rules(scenario));
  attach_tiers(scenario, *replica);
  return replica;
}

namespace {

// The scenario's profile, measured on another GPU, rescaled to its own.
Profile transferred(const Scenario& scenario, const Profile& nearest, const std::string& folder,
                    const Place& place) {
  const std::string& layout = scenario.kv_cache.layout;
  const auto engines = data_names(DataKind::engine, folder);
  if (nearest.engine != layout && std::ranges::find(engines, layout) != engines.end()) {
    throw InputError(place, "profile: expected one of " + layout + " to transfer from " +
                                nearest.gpu + " to " + scenario.hardware.gpu.name + ", " +
                                nearest.name + " is of " + nearest.engine);
  }
  std::vector<std::string> donors{scenario.profile};
  donors.insert(donors.end(), scenario.profile_donors.begin(), scenario.profile_donors.end());
  const TransferModel model{scenario.model, scenario.kv_cache.entry};
  return load_transferred(donors, folder, scenario.hardware, std::span(&model, 1), place);
}

}  // namespace

namespace {

// Times of whole layers hold for the GPU that they were measured on, and for one rank.
void check_layer_profile(const Scenario& scenario, const Profile& profile, const Place& place) {
  const std::string& gpu = scenario.hardware.gpu.name;
  if (profile.gpu != gpu) {
    throw InputError(place, "profile: expected one of " + gpu + ", times of " + profile.engine +
                                " are not transferred between GPUs, " + profile.name + " is of " +
                                profile.gpu);
  }
  if (scenario.deployment.data_parallel > 1) {
    const std::string path = "deployment.data_parallel";
    throw InputError(place_of(scenario, path),
                     path + ": expected 1, as " + profile.name + " holds times of one rank, got " +
                         std::to_string(scenario.deployment.data_parallel));
  }
}

}  // namespace

namespace {

// Times of whole steps hold for the GPU and the deployment that they were logged on.
void check_step_profile(const Scenario& scenario, const Profile& profile,
                        const StepDeployment& logged, const Place& place) {
  const std::string& gpu = scenario.hardware.gpu.name;
  if (profile.gpu != gpu) {
    throw InputError(place, "profile: expected one of " + gpu +
                                ", times of whole steps are not transferred between GPUs, " +
                                profile.name + " is of " + profile.gpu);
  }
  if (!logged.model.empty() && logged.model != scenario.model.name) {
    throw InputError(place, "profile: expected steps of " + scenario.model.name + ", those of " +
                                profile.name + " are of " + logged.model);
  }
  const Deployment& d = scenario.deployment;
  const StepDeployment own{scenario.model.name, d.tensor_parallel, d.data_parallel,
                           d.expert_parallel, scenario.engine.draft_tokens};
  const auto has = own.numbers(), is = logged.numbers();
  for (std::size_t i = 0; i < is.size(); ++i) {
    const auto& [path, value] = is[i];
    if (!value || value == has[i].second) continue;
    throw InputError(place_of(scenario, path), path + std::string(": expected ") +
                                                   std::to_string(*value) + ", as the steps of " +
                                                   profile.name + ", got " +
                                                   std::to_string(*has[i].second));
  }
}

// `profile` outlives the model; null under a roofline.
std::unique_ptr<CostModel> plain_model(const Scenario& scenario, const Profile* profile,
                                       std::vector<std::string>& missing) {
  if (profile == nullptr) {
    return std::make_unique<RooflineCost>(step_setting(scenario), scenario.hardware);
  }
  if (const ProfileFamily* const steps = profile->whole_steps()) {
    auto model = std::make_unique<StepFitCost>(step_setting(scenario), scenario.hardware, *steps);
    missing = model->missing();
    return model;
  }
  const HostCost& host = scenario.engine.host;
  if (profile->engine == kLayerEngine) {
    auto model =
        std::make_unique<LayerCost>(step_setting(scenario), scenario.hardware, *profile, host);
    missing = model->missing();
    return model;
  }
  const ProfileChoice choice{expert_format(scenario.model), scenario.engine.expert_distribution};
  auto model = std::make_unique<ProfileCost>(step_setting(scenario), scenario.hardware, *profile,
                                             choice, host);
  missing = model->missing();
  return model;
}

// The same with the scenario's factor on all steps.
std::unique_ptr<CostModel> make_model(const Scenario& scenario, const Profile* profile,
                                      std::vector<std::string>& missing) {
  auto model = plain_model(scenario, profile, missing);
  if (scenario.step_time_factor == 1) return model;
  return std::make_unique<ScaledCost>(std::move(model), scenario.step_time_factor);
}

}  // namespace

ScenarioCost make_cost(const Scenario& scenario) {
  ScenarioCost out;
  if (scenario.profile.empty()) {
    out.model = make_model(scenario, nullptr, out.missing);
    return out;
  }
  const std::string folder = std::filesystem::path(scenario.file).parent_path().string();
  const Place place = place_of(scenario, "profile");
  out.profile = std::make_unique<Profile>(load_profile(scenario.profile, folder, place));
  if (const ProfileFamily* const steps = out.profile->whole_steps()) {
    check_step_profile(scenario, *out.profile, steps->deployment, place);
  } else if (out.profile->engine == kLayerEngine) {
    check_layer_profile(scenario, *out.profile, place);
  } else if (out.profile->gpu != scenario.hardware.gpu.name) {
    out.profile = std::make_unique<Profile>(transferred(scenario, *out.profile, folder, place));
  }
  out.model = make_model(scenario, out.profile.get(), out.missing);
  return out;
}

namespace {

HostRules host_rules(const Scenario& scenario, HostRules host) {
  host.overlapped = scenario.engine.host.overlapped;
  host.prompt_token = scenario.engine.host.prompt_token;
  host.tiers = tier_links(scenario);
  return host;
}

RunResult run_world(const Scenario& scenario, const Trace& trace, Simulation& simulation,
                    const ProgressFunction& progress) {
  RunResult result = simulation.run(progress);
  result.gpus = scenario.deployment.gpus() * scenario.cluster.most_decode_replicas();
  if (scenario.prefill) {
    result.gpus += scenario.prefill->deployment.gpus() * scenario.cluster.prefill->replicas;
  }
  if (trace.block > Tokens{0} && trace.phases.size() <= 1) {
    result.totals.ideal_hit_rate =
        ideal_hit_rate(trace, scenario.kv_cache.reuse_generated ? GeneratedTokens::kept
                                                                : GeneratedTokens::forgotten);
  }
  return result;
}

}  // namespace

RunResult run_parts(const Scenario& scenario, const Trace& trace, Replica& replica,
                    const CostModel& cost, HostRules host, const ProgressFunction& progress,
                    const RecordRules& records) {
  Workload workload(trace, scenario.workload, scenario.seed);
  Simulation simulation(trace, workload, replica, cost, host_rules(scenario, std::move(host)),
                        records);
  return run_world(scenario, trace, simulation, progress);
}

namespace {

PrefillParts prefill_parts(const Scenario& scenario, const CostModel& cost,
                           StepLedgers* explained) {
  const Scenario& reads = *scenario.prefill;
  const double card = scenario.cluster.prefill->transfer.bytes_per_s;
  const std::int64_t copies = scenario.deployment.tensor_parallel;
  return {.make_replica = [&reads] { return make_replica(reads); },
          .cost = &cost,
          .host = host_rules(reads, {.explained = explained}),
          .gpus = reads.deployment.gpus(),
          .decode_gpus = scenario.deployment.gpus(),
          .out_bytes_per_s = card * static_cast<double>(reads.deployment.tensor_parallel),
          .in_bytes_per_s = card * static_cast<double>(copies),
          .copies = copies,
          .layers = static_cast<std::int64_t>(reads.model.layers.size())};
}

}  // namespace

RunResult run_scenario(const Scenario& scenario, const Trace& trace,
                       const ProgressFunction& progress, StepLedgers* explained,
                       const RecordRules& records, unsigned threads) {
  check_can_run(scenario);
  check_blocks(scenario, trace);
  const ScenarioCost cost = make_cost(scenario);
  if (scenario.cluster.asked()) {
    Workload workload(trace, scenario.workload, scenario.seed);
    ClusterParts parts{.make_replica = [&] { return make_replica(scenario); },
                       .cost = cost.model.get(),
                       .config = scenario.cluster,
                       .seed = scenario.seed,
                       .threads = threads,
                       .make_cost =
                           [&] {
                             std::vector<std::string> missing;
                             return make_model(scenario, cost.profile.get(), missing);
                           }};
    ScenarioCost prefill_cost;
    if (scenario.prefill) {
      prefill_cost = make_cost(*scenario.prefill);
      parts.prefill = prefill_parts(scenario, *prefill_cost.model, explained);
    }
    Simulation simulation(trace, workload, std::move(parts),
                          host_rules(scenario, {.explained = explained}), records);
    return run_world(scenario, trace, simulation, progress);
  }
  const auto replica = make_replica(scenario);
  return run_parts(scenario, trace, *replica, *cost.model, {.explained = explained}, progress,
                   records);
}

}  // namespace v4cap
