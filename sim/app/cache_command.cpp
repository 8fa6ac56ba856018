// v4cap cache TRACE: the cache alone, without time, in the order of the trace. Seconds for a whole
// trace: how a planner finds the memory and the policies worth simulating.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <numeric>

#include "sim/app/cache_study.h"
#include "sim/app/command.h"
#include "sim/app/expectations.h"
#include "sim/app/scenario_options.h"
#include "sim/cache/block_keys.h"
#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/data_files.h"
#include "sim/config/model_file.h"
#include "sim/config/value.h"
#include "sim/output/table.h"
#include "traces/interleave.h"
#include "traces/reader.h"

namespace v4cap {

namespace {

// Without a scenario: one GPU with all of the model's KV, prompts only, rows stored with every
// point, windows rebuilt in SGLang's pages. Workload and hardware do not matter and must be named.
std::string bare_scenario(const std::string& model, const std::string& layout) {
  const bool compresses = load_model(model).spec.count(LayerKind::csa) > 0;
  return "{model: " + model + ", hardware: hgx-b200, deployment: {tensor_parallel: 1}, " +
         "kv_cache: {layout: " + layout + ", swa_policy: full, memory: 1 GiB, " +
         (compresses ? "tails: stored, " : "") +
         "reuse_generated: false, rebuild_page_tokens: 256}, " +
         "workload: {trace: agents_small.jsonl.gz, arrivals: {mode: burst}}}";
}

class CacheCommand final : public Command {
 public:
  std::string summary() const override {
    return "the cache alone, without time: hit rate against memory, per SWA policy";
  }

  std::vector<std::string> values(std::string_view option) const override {
    if (option == "--policy") return PolicyRegistry::names();
    if (option == "--layout") return LayoutRegistry::names();
    if (option == "--model") return data_names(DataKind::model, "");
    if (option == "--format") return TraceFormats::names();
    return {};
  }

  void add_options(CLI::App& app) override {
    app.add_option("TRACE", trace_, "trace file, or a folder that holds one")->required();
    app.add_option("--policy", policies_,
                   "SWA policies (default: all kinds; with --scenario: the scenario's and these)")
        ->expected(1, 64);
    app.add_option("--kv-gib", memories_,
                   "KV memory of one GPU in GiB, or inf (default: a grid up to what all entries "
                   "of the trace take; with --scenario a quarter, all and four times its memory)")
        ->expected(1, 64)
        ->delimiter(',');
    app.add_option("--scenario", scenario_,
                   "scenario whose model, layout and kv_cache are meant (default: deepseek-v4-pro, "
                   "layout ideal, the trace's own blocks, prompts only)");
    app.add_option("--model", model_, "model, without a scenario");
    app.add_option("--layout", layout_, "engine layout, without a scenario");
    app.add_option("--block-tokens", block_, "tokens per block (default: the trace's own)")
        ->check(CLI::PositiveNumber);
    app.add_option("--format", format_, "format of the trace (default: told from its content)");
    app.add_option("--max-requests", max_requests_, "read only so many requests")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--sessions-at-a-time", sessions_at_a_time_,
                   "let so many sessions of the trace take turns, request by request (default: the "
                   "order of the file)")
        ->check(CLI::Range(1, 1'000'000));
    app.add_flag("--details", details_,
                 "a table per memory: hits, rebuilds, bytes by direction; always for up to three");
  }

  ExitCode run(CommandContext& context) override {
    TraceReadOptions reading;
    reading.format = format_;
    reading.max_requests = max_requests_;
    reading.seed = context.options.seed.value_or(1);
    const std::string path = locate_trace(trace_, context.options.trace_dir);
    Trace trace = read_trace(path, reading);
    if (sessions_at_a_time_ > 0) {
      if (!trace.has_sessions) {
        throw InputError(Place{path},
                         "expected a trace of sessions for --sessions-at-a-time, "
                         "found one without");
      }
      trace = interleave_sessions(trace, sessions_at_a_time_);
    }
    if (trace.block == Tokens{0}) {
      throw InputError(Place{path}, "expected a trace with block ids, found format " +
                                        trace.format +
                                        ", which has none: it shows no shared prefixes");
    }
    Scenario scenario = load(context, trace);
    const std::vector<Bytes> memories = memories_of(scenario);
    const std::vector<std::string> policies = policies_of(scenario);
    if (context.options.dry_run) return ExitCode::done;
    CacheStudy study = study_cache(trace, scenario, policies, memories);
    study.sessions_at_a_time = sessions_at_a_time_;
    if (context.options.json) {
      context.out << cache_json(study) << '\n';
    } else {
      const TextStyle style =
          text_style(context.out_is_terminal, context.options.no_color, std::getenv("NO_COLOR"));
      context.out << cache_text(study, details_ || study.memories.size() <= 3, style);
    }
    return ExitCode::done;
  }

 private:
  Scenario load(const CommandContext& context, const Trace& trace) const {
    ScenarioOptions options = scenario_options(context.options);
    options.find_traces = false;
    if (!scenario_.empty()) {
      for (const auto& [name, given] : {std::pair{"--model", &model_}, {"--layout", &layout_}}) {
        if (given->empty()) continue;
        throw InputError(Place{name},
                         "expected no " + std::string(name) + " beside --scenario; use --set");
      }
    }
    for (const std::string& set : options.set) {
      for (const auto& [key, option] :
           {std::pair{"kv_cache.swa_policy=", "--policy"}, {"kv_cache.memory=", "--kv-gib"}}) {
        if (!scenario_.empty() || !set.starts_with(key)) continue;
        throw InputError(Place{"--set " + set},
                         "expected " + std::string(option) + ", which is what v4cap cache varies");
      }
    }
    // A pool layout has its own blocks; what counts bytes takes the trace's.
    const std::string layout = layout_.empty() ? "ideal" : layout_;
    std::int64_t block = block_;
    if (scenario_.empty() && block == 0 && layout == "ideal") block = trace.block.value;
    if (block > 0) options.set.push_back("kv_cache.block_tokens=" + std::to_string(block));
    if (!scenario_.empty()) return load_checked_scenario(scenario_, options);
    const std::string model = model_.empty() ? "deepseek-v4-pro" : model_;
    Scenario out = parse_scenario(bare_scenario(model, layout), "v4cap cache", options);
    check_names(out);
    return out;
  }

  std::vector<std::string> policies_of(const Scenario& scenario) const {
    if (scenario.model.window == Tokens{0} && policies_.empty()) return {"full"};
    std::vector<std::string> out;
    if (!scenario_.empty()) out.push_back(scenario.kv_cache.swa_policy);
    const std::vector<std::string> all = {"full",
                                          "checkpoint=2048",
                                          "checkpoint=2048+ends",
                                          "checkpoint=32768+ends",
                                          "tail",
                                          "pool=0.1",
                                          "recompute",
                                          "recompute=pyramid",
                                          "replay",
                                          "reuse"};
    for (const std::string& name : policies_.empty() ? all : policies_) {
      if (!policies_.empty()) check_policy(scenario, name);
      if (std::find(out.begin(), out.end(), name) != out.end()) continue;
      if (policies_.empty() && !goes_with(scenario, name)) continue;
      out.push_back(name);
    }
    return out;
  }

  // Says at the option what is wrong with a policy that was given there.
  static void check_policy(Scenario scenario, const std::string& policy) {
    scenario.kv_cache.swa_policy = policy;
    scenario.places["kv_cache.swa_policy"] = Place{"--policy"};
    make_cache_parts(scenario, kEndlessMemory);
  }

  // False for a policy that the layout or the block refuses, such as a pool of windows where the
  // engine has none.
  static bool goes_with(Scenario scenario, const std::string& policy) {
    scenario.kv_cache.swa_policy = policy;
    try {
      make_cache_parts(scenario, kEndlessMemory);
      return true;
    } catch (const InputError&) {
      return false;
    }
  }

  std::vector<Bytes> memories_of(const Scenario& scenario) const {
    std::vector<Bytes> out;
    for (const std::string& text : memories_) out.push_back(memory_of(text));
    if (!out.empty() || scenario_.empty()) return out;
    const KvCacheConfig& kv = scenario.kv_cache;
    const Bytes own = kv.memory ? *kv.memory : memory_of_gpu(scenario).kv;
    return {own / 4, own, own * 4};
  }

  static Bytes memory_of(const std::string& text) {
    if (text == "inf") return kEndlessMemory;
    std::string hint;
    const auto gib = parse_value<double>(text, hint);
    const double most = to_gib(kEndlessMemory);
    if (!gib || !(*gib > 0) || *gib >= most) {
      throw InputError(Place{"--kv-gib"}, "expected GiB above 0 and below " +
                                              std::to_string(static_cast<std::int64_t>(most)) +
                                              ", or inf, got '" + text + "'");
    }
    return {static_cast<std::int64_t>(*gib * static_cast<double>(kGiB))};
  }

  std::string trace_, scenario_, model_, layout_, format_;
  std::vector<std::string> policies_, memories_;
  std::int64_t block_ = 0, max_requests_ = 0, sessions_at_a_time_ = 0;
  bool details_ = false;
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "cache", []() -> std::unique_ptr<Command> { return std::make_unique<CacheCommand>(); });

}  // namespace

}  // namespace v4cap
