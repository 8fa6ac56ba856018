#include "sim/config/scenario_file.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "sim/cache/layout.h"
#include "sim/config/cluster_section.h"
#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/engine_section.h"
#include "sim/config/expectation_section.h"
#include "sim/config/hardware_file.h"
#include "sim/config/host_section.h"
#include "sim/config/model_file.h"
#include "sim/config/prefill_section.h"
#include "sim/config/profile_file.h"
#include "sim/config/scenario_keys.h"
#include "sim/config/scenario_parts.h"
#include "sim/config/scheduler_section.h"
#include "sim/config/section.h"
#include "sim/config/tiers_section.h"
#include "sim/config/workload_section.h"
#include "sim/engine/scheduler.h"

namespace v4cap {

namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;

// Applies `path=VALUE`; the place of whatever it brings is the option itself.
void apply_override(YamlNode& root, const std::string& text, const std::string& option) {
  const Place place{option + ' ' + text, 0, 0};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError(place, "expected path.to.key=VALUE");
  }
  set_path(root, text.substr(0, equals), text.substr(equals + 1), place, named_keys());
}

// Puts the whole map where a model or hardware is named. After an error nothing more is said about
// it.
void expand(YamlNode& root, DataKind kind, const std::string& scenario_dir,
            std::vector<Diagnostic>& errors) {
  YamlNode* node = root.find(kind == DataKind::model ? "model" : "hardware");
  if (node == nullptr) return;
  try {
    *node = expanded(kind, *node, scenario_dir);
  } catch (const InputError& e) {
    errors.insert(errors.end(), e.diagnostics().begin(), e.diagnostics().end());
    node->kind = YamlNode::Kind::invalid;
  }
}

// An engine takes an equal part of a node, or whole nodes; one rank that stands for it, a GPU.
void check_deployment(Section& section, const Scenario& s, const Deployment& d) {
  const std::int64_t node = s.hardware.gpus_per_node;
  const auto refuse = [&](std::string_view key, const std::string& expected, std::int64_t got) {
    section.error(key, "expected " + expected + ", got " + std::to_string(got));
  };
  if (!d.collectives) {
    if (d.data_parallel > 1) {
      refuse("data_parallel", "1, as collectives are skipped: one rank stands for all",
             d.data_parallel);
    }
  } else if (d.tensor_parallel <= node ? node % d.tensor_parallel != 0
                                       : d.tensor_parallel % node != 0) {
    refuse("tensor_parallel",
           "a divisor of the node's GPUs (" + std::to_string(node) + ") or a multiple of them",
           d.tensor_parallel);
  } else if (d.gpus() <= node ? node % d.gpus() != 0 : d.gpus() % node != 0) {
    refuse("data_parallel",
           "ranks of " + std::to_string(d.tensor_parallel) + " GPUs that fill an equal part of a " +
               "node of " + std::to_string(node) + " or whole nodes",
           d.data_parallel);
  }
  if (s.model.heads % d.tensor_parallel != 0) {
    refuse("tensor_parallel",
           "a divisor of the model's heads (" + std::to_string(s.model.heads) + ")",
           d.tensor_parallel);
  }
  if (d.gpus() % d.expert_parallel != 0) {
    refuse("expert_parallel", "a divisor of the engine's GPUs (" + std::to_string(d.gpus()) + ")",
           d.expert_parallel);
  }
}

Deployment read_deployment(Section section, const Scenario& s, bool engine) {
  const auto width = between<std::int64_t>(1, kWidest);
  const std::int64_t node = std::max<std::int64_t>(s.hardware.gpus_per_node, 1);
  Deployment d;
  // Asked for first because the default of tensor_parallel depends on it.
  d.data_parallel = section.optional<std::int64_t>("data_parallel", 1, width);
  d.tensor_parallel = section.optional<std::int64_t>(
      "tensor_parallel", std::max<std::int64_t>(node / d.data_parallel, 1), width);
  const std::int64_t spread = d.data_parallel > 1 ? d.gpus() : 1;
  d.expert_parallel =
      section.optional<std::int64_t>("expert_parallel", engine ? kEngineExpertParallel : spread,
                                     between<std::int64_t>(1, kWidest * kWidest));
  d.router = read_name(section, "router", d.router);
  d.collectives =
      section.one_of<bool>("collectives", {{"included", true}, {"skipped", false}}, true);
  section.reject_unknown();
  if (s.hardware.gpus_per_node > 0) check_deployment(section, s, d);
  return d;
}

// Blocks are cut where compressed entries end, and map onto trace blocks of 16, 64 and 512 tokens.
void check_block(Section& section, const ModelSpec& model, const KvCacheConfig& kv) {
  const std::int64_t block = kv.block.value;
  const auto refuse = [&](const std::string& why) {
    section.error("block_tokens", why + ", got " + std::to_string(block));
  };
  if (block % 16 != 0 && 16 % block != 0) refuse("expected a multiple or a divisor of 16");
  if (model.count(LayerKind::csa) > 0 && block % 4 != 0) {
    refuse("expected a multiple of 4, the tokens of a CSA entry");
  } else if (model.count(LayerKind::hca) > 0 && kv.tails == TailStorage::none && block % 128 != 0) {
    refuse("expected a multiple of 128, as tails are not stored (tails: none)");
  }
}

void check_kv_cache(Section& section, const Scenario& s, const KvCacheConfig& kv) {
  check_block(section, s.model, kv);
  if (s.model.layers.empty()) return;
  if (s.model.window.value == 0 && kv.swa_policy != "full") {
    section.error("swa_policy", "expected full, no layer of " + s.model.name + " keeps a window");
  }
  if (kv.tails == TailStorage::stored &&
      s.model.count(LayerKind::csa) + s.model.count(LayerKind::hca) == 0) {
    section.error("tails", "expected none, no layer of " + s.model.name + " has a compressor");
  }
}

void read_entry_format(Section& section, const ModelData& model, KvCacheConfig& kv) {
  kv.indexer = section.one_of<IndexerFormat>(
      "indexer", {{"fp8", IndexerFormat::fp8}, {"fp4", IndexerFormat::fp4}}, IndexerFormat::fp8);
  kv.entry = model.entry_fp8;
  if (kv.indexer == IndexerFormat::fp8) return;
  if (model.entry_fp4) {
    kv.entry = *model.entry_fp4;
  } else if (!model.spec.layers.empty()) {
    section.error("indexer", "expected fp8, " + model.spec.name + " has no FP4 indexer keys");
  }
}

// The text at `section`.`key`; nullptr where there is none.
const std::string* text_at(const YamlNode& root, const std::string& section,
                           const std::string& key) {
  const YamlNode* map = root.find(section);
  const YamlNode* node = map == nullptr ? nullptr : map->find(key);
  return node == nullptr || node->kind != YamlNode::Kind::scalar ? nullptr : &node->text;
}

// The engine file of the layout that the scenario names: also other sections have defaults from
// it. Errors in it are collected like those of the scenario.
std::optional<EngineData> engine_of(const YamlNode& root, const std::string& scenario_dir,
                                    std::vector<Diagnostic>& errors) {
  const std::string* layout = text_at(root, "kv_cache", "layout");
  if (layout == nullptr) return std::nullopt;
  try {
    return load_engine(*layout, scenario_dir);
  } catch (const InputError& error) {
    errors.insert(errors.end(), error.diagnostics().begin(), error.diagnostics().end());
    return std::nullopt;
  }
}

// What the host of the layout's engine costs in the scenario's version.
HostStated host_defaults(const YamlNode& root, const std::optional<EngineData>& engine) {
  if (!engine) return {};
  const std::string* given = text_at(root, "kv_cache", "layout_version");
  const EngineVersion* found = given == nullptr ? nullptr : engine->find(*given);
  return host_of(*engine, found == nullptr ? engine->versions.back() : *found);
}

// What the scenario's profile says of its host. A profile that is not there is refused when the
// scenario's key is read.
HostStated profile_host(const YamlNode& root, const std::string& scenario_dir,
                        std::vector<Diagnostic>& errors) {
  const YamlNode* node = root.find("profile");
  if (node == nullptr || node->kind != YamlNode::Kind::scalar || node->text == "auto" ||
      node->text == "none") {
    return {};
  }
  try {
    find_data_file(DataKind::profile, node->text, scenario_dir, node->place);
  } catch (const InputError&) {
    return {};
  }
  try {
    const auto host = load_profile_host(node->text, scenario_dir, node->place);
    return host ? stated(*host) : HostStated{};
  } catch (const InputError& error) {
    errors.insert(errors.end(), error.diagnostics().begin(), error.diagnostics().end());
    return {};
  }
}

// What the scenario's scheduler goes by: in the version of the layout's engine if it is that
// engine's own, else in the newest version of the engine that has it.
SchedulerStated scheduler_defaults(const YamlNode& root, const std::optional<EngineData>& engine,
                                   const std::string& scenario_dir,
                                   std::vector<Diagnostic>& errors) {
  const std::string* name = text_at(root, "engine", "scheduler");
  if (engine && engine->scheduler && (name == nullptr || *name == engine->name)) {
    const std::string* version = text_at(root, "kv_cache", "layout_version");
    const EngineVersion* found = version == nullptr ? nullptr : engine->find(*version);
    return scheduler_of(*engine, found == nullptr ? engine->versions.back() : *found);
  }
  if (name == nullptr) return {};
  try {
    const std::optional<EngineData> other = load_engine(*name, scenario_dir);
    if (other && other->scheduler) return scheduler_of(*other, other->versions.back());
  } catch (const InputError& error) {
    errors.insert(errors.end(), error.diagnostics().begin(), error.diagnostics().end());
  }
  return {};
}

// The version, empty where the layout has none. Any given one is refused then, once the layout
// itself is known.
EngineVersion read_layout_version(Section& section, const std::optional<EngineData>& engine,
                                  KvCacheConfig& kv) {
  if (!engine) {
    const auto version = section.optional_or<std::string>("layout_version", "none");
    if (version && LayoutRegistry::find(kv.layout) != nullptr) {
      section.error("layout_version", "expected none, layout " + kv.layout + " has no versions");
    }
    return {};
  }
  kv.layout_version =
      section.optional<std::string>("layout_version", engine->versions.back().release);
  const EngineVersion* version = engine->find(kv.layout_version);
  kv.layout_note = engine->beyond(kv.layout_version);
  if (version != nullptr) return *version;
  section.error("layout_version", "expected a release such as " + engine->versions.back().release +
                                      " or a date such as " + engine->versions.back().date +
                                      ", got " + shown(kv.layout_version));
  return {};
}

// The engine's fraction at the scenario's step, which is one rank's part of a chunk, or a whole
// prompt.
double engine_fraction(const EngineData& engine, const Scenario& s, Bytes gpu) {
  const EngineWidths widths = s.deployment.widths();
  const Tokens longest = s.model.max_context, step = s.engine.step_tokens;
  const EngineSettings defaults = settle_engine(engine, gpu, widths, longest);
  if (step == defaults.step_tokens) return defaults.memory_fraction;
  EngineStated stated;
  const std::int64_t sharing = engine.ranks_share ? widths.data_parallel : 1;
  stated.chunk = step >= longest ? Tokens{0} : Tokens{step.value * sharing};
  return settle_engine(engine, gpu, widths, longest, stated).memory_fraction;
}

// How the layout's engine fills a GPU before the KV cache; nothing for a layout without an engine.
void read_memory(Section& section, const Scenario& s, const std::optional<EngineData>& engine,
                 const EngineVersion& version, KvCacheConfig& kv) {
  const Bytes gpu{bound(s.hardware.gpu.memory.value)};
  kv.memory = section.optional_or<Bytes>("memory", "auto", between(Bytes{1}, gpu));
  if (engine) {
    kv.memory_fraction = engine_fraction(*engine, s, gpu);
  }
  kv.memory_fraction =
      section.optional<double>("memory_fraction", kv.memory_fraction, above_up_to(0.0, 1.0));
  if (!engine) {
    kv.reserve = section.optional<Bytes>("reserve", s.hardware.reserve, between(Bytes{0}, gpu));
    return;
  }
  kv.reserve = section.optional_or<Bytes>("reserve", "auto", between(Bytes{0}, gpu));
  const MemoryRules defaults = memory_rules(*engine, version);
  Section rules = section.child("memory_rules");
  for (const MemoryRule& rule : kMemoryRules) {
    const auto it = defaults.find(rule.name);
    kv.memory_rules[rule.name] =
        rules.optional<double>(rule.name, it == defaults.end() ? rule.fallback : it->second);
  }
  rules.reject_unknown();
}

// Every parameter that the layout declares: as set here, else as the engine's version has it, else
// the layout's own fallback.
void read_layout_options(Section& section, const std::map<std::string, double>& version,
                         KvCacheConfig& kv) {
  const auto* parameters = LayoutParameters::find(kv.layout);
  if (parameters == nullptr) {
    const YamlNode* node = section.node("layout_options");
    if (node != nullptr && LayoutRegistry::find(kv.layout) != nullptr) {
      section.error("layout_options", "expected none, layout " + kv.layout + " has no parameters");
    }
    return;
  }
  Section options = section.child("layout_options");
  for (const LayoutParameter& p : *parameters) {
    const auto of_version = version.find(p.name);
    kv.layout_options[p.name] = options.optional<double>(
        p.name, of_version == version.end() ? p.fallback : of_version->second,
        between(p.min, p.max));
  }
  options.reject_unknown();
}

KvCacheConfig read_kv_cache(Section section, const Scenario& s, const ModelData& model,
                            const std::optional<EngineData>& engine) {
  KvCacheConfig kv;
  kv.layout = read_name(section, "layout", kv.layout);
  const EngineVersion version = read_layout_version(section, engine, kv);
  read_layout_options(section, version.values, kv);
  if (engine) kv.block = engine->block;
  kv.swa_policy = read_name(section, "swa_policy", kv.swa_policy);
  kv.block = section.optional<Tokens>("block_tokens", kv.block, between(Tokens{1}, Tokens{65536}));
  kv.tails = section.one_of<TailStorage>(
      "tails", {{"stored", TailStorage::stored}, {"none", TailStorage::none}}, kv.tails);
  read_entry_format(section, model, kv);
  read_memory(section, s, engine, version, kv);
  kv.reuse_generated = section.optional<bool>("reuse_generated", kv.reuse_generated);
  kv.recompute_threshold = section.optional_or<Tokens>("recompute_threshold_tokens", "auto",
                                                       between(Tokens{0}, Tokens{kCountMax}));
  kv.rebuild_page =
      section.optional<Tokens>("rebuild_page_tokens", kv.layout == "ideal" ? Tokens{1} : kv.block,
                               between(Tokens{1}, Tokens{65536}));
  if (section.node("tiers") != nullptr) kv.below = read_tiers(section.child("tiers"));
  section.reject_unknown();
  check_kv_cache(section, s, kv);
  return kv;
}

// The name of a profile, "none" or "auto": the newest one of the GPU under the layout's engine, else
// those of the GPUs that the hardware file names, else none. "auto" is the default. The file itself
// is read when steps are timed; here it only has to be there.
void read_profile(Section& top, Scenario& s, const std::string& scenario_dir) {
  const auto names = data_names(DataKind::profile, scenario_dir);
  const auto newest = [&](const std::string& gpu) {
    return default_profile(names, gpu, s.kv_cache.layout);
  };
  const std::string own = newest(s.hardware.gpu.name);
  std::vector<std::string> donors;
  for (const std::string& gpu : s.hardware.transfer_from) {
    if (std::string donor = newest(gpu); !donor.empty()) donors.push_back(std::move(donor));
  }
  // One that is known by its name is written out by it.
  const std::string fallback = !own.empty() ? own : donors.empty() ? "none" : "auto";
  s.profile = top.optional<std::string>("profile", fallback);
  if (s.profile == "auto") {
    s.profile = own;
    if (own.empty() && !donors.empty()) {
      s.profile = donors.front();
      s.profile_donors.assign(donors.begin() + 1, donors.end());
    }
  }
  const YamlNode* node = top.node("profile");
  if (s.profile != "none" || node == nullptr) {
    const std::string& gpu = s.hardware.gpu.name;
    if (!is_profile_of(s.profile, gpu))
      s.profile_beside = own.empty() ? any_profile(names, gpu) : own;
  }
  if (s.profile == "none") s.profile.clear();
  if (s.profile.empty() || node == nullptr || node->kind != YamlNode::Kind::scalar) return;
  try {
    find_data_file(DataKind::profile, s.profile, scenario_dir, node->place);
  } catch (const InputError& error) {
    top.add_errors(error);
  }
}

Slo read_slo(Section section) {
  Slo slo;
  slo.ttft_p99 =
      section.optional_or<Duration>("ttft_p99", "none", above(Duration{0})).value_or(Duration{0});
  slo.tpot_p99 =
      section.optional_or<Duration>("tpot_p99", "none", above(Duration{0})).value_or(Duration{0});
  section.reject_unknown();
  return slo;
}

// How a file of a kind that is no scenario is used.
std::string use_of(const std::string& kind, const std::string& file) {
  if (kind == "plan" || kind == "sweep") {
    return "'v4cap " + kind + ' ' + file + " --dry-run' checks it";
  }
  if (kind == "engine") return "a scenario names it under kv_cache.layout";
  return "a scenario names it under '" + kind + "'";
}

// A file of another kind, told by its keys, is called what it is: refused one by one, its keys would
// not say so.
void refuse_other_kind(const YamlNode& root) {
  const auto known_of = [&](const FileKind& kind) {
    return std::ranges::count_if(root.children, [&](const YamlNode& entry) {
      return std::ranges::find(kind.keys(), entry.key, &KeySpec::name) != kind.keys().end();
    });
  };
  const FileKind& scenario = *FileKinds::find("scenario");
  std::string nearest;
  auto most = known_of(scenario);
  for (const std::string& name : FileKinds::names()) {
    const FileKind& kind = *FileKinds::find(name);
    const auto known = known_of(kind);
    // The keys of a plan are those of a sweep and some more: alike, it is the smaller kind.
    const bool alike = !nearest.empty() && known == most &&
                       kind.keys().size() < FileKinds::find(nearest)->keys().size();
    if (known <= most && !alike) continue;
    nearest = name;
    most = known;
  }
  if (nearest.empty()) return;
  throw InputError(root.place, "expected a scenario, got a file of kind '" + nearest + "' (" +
                                   FileKinds::find(nearest)->meaning + "); " +
                                   use_of(nearest, root.place.file));
}

Scenario read_scenario(YamlNode root, const std::string& file, const std::string& scenario_dir,
                       const ScenarioOptions& options) {
  if (root.kind != YamlNode::Kind::map) {
    throw InputError(root.place, "expected a scenario (keys such as model: deepseek-v4-pro), got " +
                                     shown(root));
  }
  refuse_other_kind(root);
  apply_overrides(root, options);
  const bool reads_apart = root.find("prefill") != nullptr;
  const YamlNode whole = reads_apart ? root : YamlNode{};
  std::vector<Diagnostic> errors;
  expand(root, DataKind::model, scenario_dir, errors);
  expand(root, DataKind::hardware, scenario_dir, errors);
  const auto engine = engine_of(root, scenario_dir, errors);
  const SchedulerStated scheduler = scheduler_defaults(root, engine, scenario_dir, errors);
  const HostStated host =
      overlaid(host_defaults(root, engine), profile_host(root, scenario_dir, errors));
  Document document(std::move(root), file);
  for (Diagnostic& error : errors)
    document.add_error(std::move(error.place), std::move(error.message));

  Scenario s;
  s.file = file;
  s.name = std::filesystem::path(file).stem().string();
  Section top = document.root(scenario_keys);
  const ModelData model = read_model(top.child("model", true));
  s.model = model.spec;
  s.hardware = read_hardware(top.child("hardware", true));
  s.deployment = read_deployment(top.child("deployment"), s, engine.has_value());
  s.engine = read_engine(top.child("engine"), s, engine, scheduler, host);
  s.kv_cache = read_kv_cache(top.child("kv_cache"), s, model, engine);
  read_profile(top, s, scenario_dir);
  if (top.has("step_time_factor")) {
    s.step_time_factor =
        top.required<double>("step_time_factor", between(kStepTimeFactorMin, kStepTimeFactorMax));
  }
  s.workload = read_workload(top.child("workload", true), scenario_dir, options.trace_dir,
                             options.find_traces);
  std::optional<PrefillConfig> prefill;
  std::optional<Section> prefill_section;
  if (reads_apart) {
    prefill_section = top.child("prefill", true);
    prefill = read_prefill(*prefill_section);
  }
  if (top.has("cluster") || reads_apart) {
    s.cluster = read_cluster(top.child("cluster"), s.deployment.data_parallel, s.kv_cache.below,
                             file, prefill ? &*prefill : nullptr);
  }
  s.cluster.prefill = prefill;
  s.slo = read_slo(top.child("slo"));
  s.seed = top.optional<std::uint64_t>("seed", 1);
  if (top.has("note")) s.note = top.required<std::string>("note");
  s.expect = read_expectations(top, "expect", file);
  top.reject_unknown();
  document.checkpoint();
  if (reads_apart) {
    s.prefill =
        std::make_shared<Scenario>(read_scenario(prefill_scenario(whole), file, scenario_dir,
                                                 {.set = {},
                                                  .seed = {},
                                                  .trace_dir = options.trace_dir,
                                                  .find_traces = options.find_traces}));
    record_prefill(*prefill_section, s.prefill->resolved_yaml);
  }
  s.resolved_yaml = document.resolved();
  s.places = document.places();
  return s;
}

void check_known(std::vector<Diagnostic>& errors, const Scenario& scenario, const std::string& path,
                 const std::string& value, const std::vector<std::string>& known) {
  const std::string name = value.substr(0, value.find('='));
  if (std::ranges::find(known, name) != known.end()) return;
  const auto place = scenario.places.find(path);
  errors.push_back({place == scenario.places.end() ? Place{scenario.file, 0, 0} : place->second,
                    path + ": unknown name " + shown(name) + suggestion(name, known)});
}

}  // namespace

Scenario load_scenario(const std::string& path, const ScenarioOptions& options) {
  return scenario_of_tree(parse_yaml(read_text_file(path), path), path, options);
}

Scenario scenario_of_tree(YamlNode root, const std::string& file, const ScenarioOptions& options) {
  return read_scenario(std::move(root), file, std::filesystem::path(file).parent_path().string(),
                       options);
}

void apply_overrides(YamlNode& root, const ScenarioOptions& options) {
  for (const std::string& text : options.set) apply_override(root, text, "--set");
  if (options.seed) {
    const std::string value = std::to_string(*options.seed);
    set_path(root, "seed", value, {"--seed " + value, 0, 0}, {});
  }
}

const std::vector<std::string>& named_keys() {
  static const std::vector<std::string> keys = {"model", "hardware"};
  return keys;
}

Scenario parse_scenario(const std::string& text, const std::string& label,
                        const ScenarioOptions& options) {
  return read_scenario(parse_yaml(text, label), label, "", options);
}

void validate_names(const Scenario& scenario, const KnownNames& known) {
  std::vector<Diagnostic> errors;
  if (scenario.prefill) {
    check_known(errors, scenario, "prefill.router", scenario.cluster.prefill->router,
                known.routers);
    try {
      validate_names(*scenario.prefill, known);
    } catch (const InputError& error) {
      errors.insert(errors.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
  }
  check_known(errors, scenario, "engine.scheduler", scenario.engine.scheduler, known.schedulers);
  check_known(errors, scenario, "deployment.router", scenario.deployment.router, known.routers);
  check_known(errors, scenario, "cluster.router", scenario.cluster.router, known.routers);
  check_known(errors, scenario, "kv_cache.layout", scenario.kv_cache.layout, known.layouts);
  check_known(errors, scenario, "kv_cache.swa_policy", scenario.kv_cache.swa_policy,
              known.swa_policies);
  if (!errors.empty()) throw InputError(std::move(errors));
}

}  // namespace v4cap
