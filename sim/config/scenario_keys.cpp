#include "sim/config/scenario_keys.h"

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/router.h"
#include "sim/config/cluster_section.h"
#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/engine_section.h"
#include "sim/config/expectation_section.h"
#include "sim/config/hardware_file.h"
#include "sim/config/model_file.h"
#include "sim/config/prefill_section.h"
#include "sim/config/tiers_section.h"
#include "sim/config/workload_section.h"

namespace v4cap {

namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;

const std::vector<KeySpec>& deployment_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("tensor_parallel", "GPUs that one attention rank is spread over")
          .within(1, kWidest),
      key<std::int64_t>("data_parallel", "attention ranks, each with a KV cache of its own")
          .within(1, kWidest),
      key<std::int64_t>("expert_parallel",
                        "GPUs that whole experts are spread over; 1: experts "
                        "are cut over all GPUs")
          .within(1, kWidest * kWidest),
      key<std::string>("router", "which attention rank takes a request; name or name=argument")
          .such_as(&RouterRegistry::names),
      choice_key(
          "collectives",
          [] {
            return Names{"included", "skipped"};
          },
          "skipped: one rank stands for all, nothing is sent between GPUs")};
  return keys;
}

// Parameters of every layout there is.
const std::vector<KeySpec>& layout_option_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const std::string& layout : LayoutParameters::names()) {
      for (const LayoutParameter& p : *LayoutParameters::find(layout)) {
        add_parameter(out, p.name, p.meaning, p.min, p.max);
      }
    }
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& kv_cache_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("layout", "how cached state lies in memory: ideal, or as an engine pages")
          .such_as(&LayoutRegistry::names),
      key_or<std::string>("layout_version", "none",
                          "release or date of that engine; default: the newest known"),
      section_key("layout_options", layout_option_keys, "single values of that version"),
      key<std::string>("swa_policy",
                       "which windows are kept: full, checkpoint=2048, recompute, pool=0.1, ...")
          .such_as(&PolicyRegistry::names),
      key<Tokens>("block_tokens", "tokens of a cached block").within(1, 65536),
      choice_key(
          "tails",
          [] {
            return Names{"stored", "none"};
          },
          "compressor rows. stored: hits may end at every block; none: at multiples of 128"),
      choice_key(
          "indexer",
          [] {
            return Names{"fp8", "fp4"};
          },
          "format of indexer keys"),
      key_or<Bytes>("memory", "auto", "of one GPU; auto: what weights and reserve leave"),
      key<double>("memory_fraction", "share of a GPU's memory that the engine may use")
          .within(0, 1),
      key_or<Bytes>("reserve", "auto", "activations, graphs and buffers of each GPU"),
      section_key("memory_rules", memory_rule_keys, "numbers of the engine about its memory"),
      key<bool>("reuse_generated", "true: generated tokens stay cached for the next turn"),
      key_or<Tokens>("recompute_threshold_tokens", "auto",
                     "shorter hits are prefilled plainly; auto: 2 x layers x window")
          .within(0, kCountMax),
      key<Tokens>("rebuild_page_tokens", "what is rebuilt is aligned to it").within(1, 65536),
      section_key("tiers", tiers_keys, "storage below GPU memory")};
  return keys;
}

const std::vector<KeySpec>& slo_keys() {
  static const std::vector<KeySpec> keys = {
      key_or<Duration>("ttft_p99", "none", "99th percentile of the time to first token, at most"),
      key_or<Duration>("tpot_p99", "none",
                       "99th percentile of the time per output token, at most")};
  return keys;
}

// The keys of a model or node in a scenario: those of its file, over a base that has the rest.
std::vector<KeySpec> over_base(const std::vector<KeySpec>& of_file, Names (*names)()) {
  std::vector<KeySpec> keys = {
      key<std::string>("base", "name or path of the file that has the rest").such_as(names)};
  keys.insert(keys.end(), of_file.begin(), of_file.end());
  for (KeySpec& spec : keys) spec.required = false;
  return keys;
}

template <DataKind kKind>
Names data_names_of() {
  return data_names(kKind, "");
}

const std::vector<KeySpec>& model_over_keys() {
  static const auto keys = over_base(model_keys(), &data_names_of<DataKind::model>);
  return keys;
}

const std::vector<KeySpec>& hardware_over_keys() {
  static const auto keys = over_base(hardware_keys(), &data_names_of<DataKind::hardware>);
  return keys;
}

KeySpec hardware_key() {
  return key<std::string>("hardware", "name, path of a file, or {base: name, ...} with changes")
      .such_as(&data_names_of<DataKind::hardware>)
      .or_else(section_key("", hardware_over_keys, "a node, or changes to one").laid_over());
}

KeySpec profile_key() {
  return key<std::string>("profile",
                          "measured times by name; none: the roofline; auto: the newest "
                          "of this GPU under this engine, else of others")
      .such_as([] {
        Names names = data_names(DataKind::profile, "");
        names.insert(names.begin(), {"auto", "none"});
        return names;
      });
}

// Each stands in place of the scenario's.
const std::vector<KeySpec>& prefill_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out = prefill_pool_keys();
    out.push_back(hardware_key());
    out.push_back(section_key("deployment", deployment_keys, "instead of the scenario's"));
    out.push_back(section_key("engine", engine_section_keys, "instead of the scenario's"));
    out.push_back(section_key("kv_cache", kv_cache_keys, "instead of the scenario's"));
    out.push_back(profile_key());
    return out;
  }();
  return keys;
}

}  // namespace

const std::vector<KeySpec>& scenario_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("model", "name, path of a file, or {base: name, ...} with changes")
          .such_as(&data_names_of<DataKind::model>)
          .or_else(section_key("", model_over_keys, "a model, or changes to one").laid_over())
          .must(),
      hardware_key().must(),
      section_key("deployment", deployment_keys, "how one engine is spread over GPUs"),
      section_key("engine", engine_section_keys, "what a step runs, and what its host costs"),
      section_key("kv_cache", kv_cache_keys, "memory, layout and policy of cached state"),
      profile_key(),
      key<double>("step_time_factor", "all steps take so many times as long as the profile says")
          .within(kStepTimeFactorMin, kStepTimeFactorMax),
      section_key("workload", workload_keys, "which requests come, and when").must(),
      section_key("cluster", cluster_keys, "several replicas, their router, scaling and faults"),
      section_key("prefill", prefill_keys, "replicas of their own that read prompts"),
      section_key("slo", slo_keys, "what is promised"),
      key<std::int64_t>("seed", "of everything random"),
      key<std::string>("note", "what a reader of its figures must know"),
      items_key("expect", expectation_keys, "figures that it should show, and how closely")};
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("scenario", {"a question: model, hardware, cache, workload", scenario_keys});

}  // namespace v4cap
