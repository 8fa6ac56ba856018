// SGLang: `sglang serve`, `python3 -m sglang.launch_server`.
//
// Sources
//   [v4]   same repository: python/sglang/srt/arg_groups/deepseek_v4_hook.py, defaults for V4
//   [mem]  same repository: memory settings of autumn 2026, the reserve behind the default fraction
//   [pool] same repository: pool_configurator.py, the lines that its log holds
#include <algorithm>

#include "sim/cache/layout.h"
#include "sim/cache/swa_policy.h"
#include "sim/config/engine_file.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/engine_dialect.h"
#include "sim/import/sglang_flags.h"

namespace v4cap {

namespace {

constexpr std::int64_t kCountMax = 1'000'000'000;

// Experts lie whole on GPUs under these; SGLang then spreads them over all of tensor parallelism.
bool spreads_experts(const std::string& backend) {
  return backend != "none" && !backend.empty();
}

class SglangDialect final : public EngineDialect {
 public:
  const FlagTable& flags() const override {
    static const FlagTable table = sglang_flag_table();
    return table;
  }

  const std::vector<EngineVariable>& variables() const override {
    static const std::vector<EngineVariable> known = {
        {"SGLANG_DSV4_COMPRESS_STATE_DTYPE", FlagEffect::sets, ""},
        {"SGLANG_OPT_USE_ONLINE_COMPRESS", FlagEffect::not_modelled,
         "HCA state kept as running sums: less memory per request slot"},
        {"SGLANG_HACK_FLASHMLA_BACKEND", FlagEffect::not_modelled,
         "the unified KV layout of ROCm: BF16 entries and a ring per request"},
        {"SGLANG_ENABLE_UNIFIED_RADIX_TREE", FlagEffect::not_modelled, "one tree for all caches"},
        {"SGLANG_OPT_SWA_SPLIT_LEAF_ON_INSERT", FlagEffect::not_modelled,
         "where the tree keeps windows"},
        {"SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK", FlagEffect::not_modelled,
         "buffers for dispatching tokens to experts"},
        {"SGLANG_OPT_DEEPGEMM_MEGA_MOE_NUM_MAX_TOKENS_PER_RANK", FlagEffect::not_modelled,
         "buffers for dispatching tokens to experts"},
        {"SGLANG_SHARED_EXPERT_TP1", FlagEffect::not_modelled,
         "the shared expert is repeated on every GPU"},
        {"SGLANG_DSV4_FP4_EXPERTS", FlagEffect::none, ""},
        {"SGLANG_ENABLE_SPEC_V2", FlagEffect::none, ""},
        {"SGLANG_JIT_DEEPGEMM_PRECOMPILE", FlagEffect::none, ""},
        {"SGLANG_JIT_DEEPGEMM_FAST_WARMUP", FlagEffect::none, ""},
    };
    return known;
  }

  const std::vector<LogLine>& log_lines() const override {
    static const std::vector<LogLine> lines = {
        {"Load weight end.", {{"mem usage=", LogQuantity::weights_gib}}, "NextN"},
        {"ForCausalLMNextN", {{"mem usage=", LogQuantity::draft_weights_gib}}},
        // "DSv4" in builds before June 2026, "DSV4" since.
        {"V4 memory calculation:",
         {{"bytes_per_full_token=", LogQuantity::bytes_per_full_token},
          {"available_bytes=", LogQuantity::kv_memory_gib},
          {"c128_state_fixed=", LogQuantity::request_slot_gib, false}}},
        {"v4 memory calculation:",
         {{"bytes_per_full_token=", LogQuantity::bytes_per_full_token},
          {"available_bytes=", LogQuantity::kv_memory_gib},
          {"c128_state_fixed=", LogQuantity::request_slot_gib, false}}},
        {"V4 pool sizes:",
         {{"full=", LogQuantity::kv_cache_tokens},
          {"swa=", LogQuantity::swa_tokens},
          {" c4=", LogQuantity::c4_entries},
          {"c128=", LogQuantity::c128_entries},
          {"c4_state=", LogQuantity::c4_state_rows}}},
        {"Memory profiling:", {{"mem_fraction_static=", LogQuantity::memory_fraction}}},
        {"max_total_num_tokens=",
         {{"max_total_num_tokens=", LogQuantity::kv_cache_tokens},
          {"max_running_requests=", LogQuantity::max_running, false},
          {"context_len=", LogQuantity::max_context_tokens, false},
          {"chunked_prefill_size=", LogQuantity::step_tokens, false}},
         "server_args="},
    };
    return lines;
  }

  std::optional<std::size_t> arguments_begin(const std::vector<ShellWord>& words) const override {
    if (const auto at = after_words(words, "sglang", "serve")) return at;
    return after_words(words, "-m", "sglang.launch_server");
  }

  // `sglang serve MODEL` takes the model without a flag too.
  const ShellWord* positional_model(const FlagUses& flags) const override {
    return flags.positional.empty() ? nullptr : &flags.positional.front();
  }
  std::string_view model_flag() const override { return "--model-path"; }

  void translate(const LaunchContext& context, ScenarioDraft& draft) const override {
    FlagReader read(context, draft);
    const Ranks ranks = parallelism(read, draft);
    draft.assume("kv_cache.layout", "sglang", "told from the command", Origin::command);
    const EngineData engine = engine_data(read);
    const EngineStated stated = stated_by(read);
    const EngineSettings settings = settle_engine(
        engine, context.hardware.gpu.memory, ranks.widths(), context.model.max_context, stated);
    scheduling(context, read, ranks, engine, settings, draft);
    pools(context, read, engine, draft);
    speculation(context, read, draft);
    memory(context, read, settings, draft);
    remarks(read, ranks, draft);
  }

 private:
  struct Ranks {
    std::int64_t gpus = 1;       // of tensor parallelism, --tp
    std::int64_t attention = 1;  // ranks with a cache of their own, --dp with DP attention
    std::int64_t engines = 1;    // --dp without: whole engines beside each other

    EngineWidths widths() const { return {gpus / attention, attention, kEngineExpertParallel}; }
  };

  static Ranks parallelism(FlagReader& read, ScenarioDraft& draft) {
    Ranks ranks;
    const std::string path = "deployment.tensor_parallel";
    const std::int64_t dp = read.count_or("deployment.data_parallel", "--dp-size", 1, 1024, 1);
    const bool attention = read.on("--enable-dp-attention");
    (attention ? ranks.attention : ranks.engines) = dp;
    // An open --tp is at least as wide as its attention ranks.
    ranks.gpus = read.count_or(path, "--tp-size", 1, 1024, ranks.attention);
    if (ranks.gpus % ranks.attention != 0) {
      const FlagUse& use = *read.find("--dp-size");
      throw InputError(use.value_place, use.written + ": expected a divisor of --tp (" +
                                            std::to_string(ranks.gpus) + "), got " +
                                            shown(use.value));
    }
    const FlagUse* tp = read.find("--tp-size");
    DraftLine width{path, std::to_string(ranks.gpus / ranks.attention), "no --tp", Origin::engine,
                    Place{}};
    if (read.open("--tp-size")) {
      width.reason = read.default_reason("--tp-size", "the least that it can be");
    } else if (tp != nullptr) {
      width = {path, width.value, tp->quoted(), Origin::command, tp->place};
    }
    if (ranks.attention > 1) {
      width.reason += ", " + read.find("--dp-size")->quoted() + " --enable-dp-attention";
      draft.set(width);
      draft.set("deployment.data_parallel", std::to_string(dp), *read.find("--dp-size"));
    } else {
      draft.set(width);
    }
    experts(read, ranks, draft);
    return ranks;
  }

  static void experts(FlagReader& read, const Ranks& ranks, ScenarioDraft& draft) {
    if (const auto ep = read.count("--ep-size", 1, 1024)) {
      draft.set("deployment.expert_parallel", std::to_string(*ep), *read.find("--ep-size"));
    } else if (spreads_experts(read.text("--moe-a2a-backend").value_or("none"))) {
      draft.set("deployment.expert_parallel", std::to_string(ranks.gpus),
                *read.find("--moe-a2a-backend"));
    } else {
      draft.assume("deployment.expert_parallel", std::to_string(kEngineExpertParallel),
                   read.default_reason("--ep-size", "experts are cut by tensor parallelism"));
      read.stands_in("--ep-size", "deployment.expert_parallel",
                     std::to_string(kEngineExpertParallel));
    }
  }

  // scenarios/engines/sglang.yaml at this command's graphs and with the buffers of DeepEP.
  static EngineData engine_data(FlagReader& read) {
    EngineData engine = known_engine("sglang");
    FractionRule& rule = engine.fraction_rule;
    if (const auto batch = read.count("--cuda-graph-max-bs-decode", 1, 1 << 20)) {
      rule.graph_batch = rule.graph_batch_small = static_cast<double>(*batch);
    }
    if (read.text("--moe-a2a-backend") == "deepep") rule.base += rule.deepep;
    return engine;
  }

  // What the layout takes where nobody says.
  static double window_ratio() {
    for (const LayoutParameter& parameter : *LayoutParameters::find("sglang")) {
      if (parameter.name == "swa_full_tokens_ratio") return parameter.fallback;
    }
    V4CAP_CHECK(false, "layout sglang has no ratio of windows");
    return 0;
  }

  static EngineStated stated_by(FlagReader& read) {
    EngineStated stated;
    stated.max_running = read.count("--max-running-requests", 1);
    // SGLang does not cut prompts at values of 0 and below, whatever the ranks.
    if (const auto chunk = read.count("--chunked-prefill-size", -kCountMax, kCountMax)) {
      stated.chunk = Tokens{std::max<std::int64_t>(0, *chunk)};
    }
    return stated;
  }

  static void scheduling(const LaunchContext& context, FlagReader& read, const Ranks& ranks,
                         const EngineData& engine, const EngineSettings& settings,
                         ScenarioDraft& draft) {
    const std::int64_t running =
        read.count("--max-running-requests", 1).value_or(engine.max_running);
    set_shared(read, ranks, draft, "--max-running-requests",
               {"engine.max_running", std::to_string(settings.max_running),
                "SGLang's default for V4", Origin::engine, Place{}},
               running);
    const std::string memory = value_text<Bytes>(engine.large_gpu) + " of GPU memory";
    const bool large = context.hardware.gpu.memory >= engine.large_gpu;
    set_shared(
        read, ranks, draft, "--chunked-prefill-size",
        {"engine.step_tokens", std::to_string(settings.step_tokens.value),
         "SGLang's default " + ((large ? "from " : "below ") + memory), Origin::engine, Place{}},
        settings.chunk.value);
    if (const auto length = read.count("--context-length", 1)) {
      draft.set("engine.max_context_tokens", std::to_string(*length),
                *read.find("--context-length"));
    }
    read.stands_in("--context-length", "engine.max_context_tokens", "");
    rules(read, draft);
    host(read, draft);
    router(read, draft);
  }

  // What is given of the scheduler's rules; the rest is the engine's default.
  static void rules(FlagReader& read, ScenarioDraft& draft) {
    if (read.on("--enable-mixed-chunk")) {
      draft.set("engine.mixed_chunk", "true", *read.find("--enable-mixed-chunk"));
    }
    if (read.on("--enable-prefill-delayer")) {
      draft.set("engine.prefill_delayer", "true", *read.find("--enable-prefill-delayer"));
    }
    if (const auto passes = read.count("--prefill-delayer-max-delay-passes", 1)) {
      draft.set("engine.scheduler_options.prefill_delay_steps", std::to_string(*passes),
                *read.find("--prefill-delayer-max-delay-passes"));
    }
    if (const auto tokens = read.count("--max-prefill-tokens", 1)) {
      draft.set("engine.scheduler_options.max_prefill_tokens", std::to_string(*tokens),
                *read.find("--max-prefill-tokens"));
    }
    if (const auto factor = read.number("--schedule-conservativeness", 0, 100)) {
      draft.set("engine.scheduler_options.conservativeness", number_text(*factor),
                *read.find("--schedule-conservativeness"));
    }
  }

  // What the host does beside the GPU.
  static void host(FlagReader& read, ScenarioDraft& draft) {
    if (const auto batch = read.count("--cuda-graph-max-bs-decode", 1, 1 << 20)) {
      draft.set("engine.host.graph_max_batch", std::to_string(*batch),
                *read.find("--cuda-graph-max-bs-decode"));
    }
    if (read.on("--disable-cuda-graph")) {
      draft.set("engine.host.graph_max_batch", "0", *read.find("--disable-cuda-graph"));
    }
    if (read.on("--disable-cuda-graph-padding")) {
      draft.set("engine.host.graph_sizes", "all", *read.find("--disable-cuda-graph-padding"));
    }
    if (read.on("--disable-overlap-schedule")) {
      draft.set("engine.host.overlapped", "false", *read.find("--disable-overlap-schedule"));
    }
  }

  // How SGLang's data-parallel controller gives requests to attention ranks.
  static void router(FlagReader& read, ScenarioDraft& draft) {
    const auto method = read.text("--load-balance-method");
    if (!method || *method == "auto") return;
    const bool shortest = *method == "shortest_queue" || *method == "total_requests" ||
                          *method == "total_tokens" || *method == "minimum_tokens";
    draft.set("deployment.router", shortest ? "shortest_queue" : "round_robin",
              *read.find("--load-balance-method"));
  }

  // One rank's part of what SGLang divides by its attention ranks; `whole` 0 is not divided.
  static void set_shared(FlagReader& read, const Ranks& ranks, ScenarioDraft& draft,
                         std::string_view flag, DraftLine line, std::int64_t whole) {
    const FlagUse* use = read.find(flag);
    if (use == nullptr || read.open(flag)) {
      line.reason = read.default_reason(flag, line.reason);
    } else {
      line.reason = use->quoted() + (whole == 0 ? ": prompts are not cut" : "");
      line.origin = Origin::command;
      line.place = use->place;
    }
    if (ranks.attention > 1 && whole > 0) {
      line.reason +=
          ": " + std::to_string(whole) + " over " + std::to_string(ranks.attention) + " ranks";
    }
    read.stands_in(flag, line.path, std::to_string(whole));
    draft.set(std::move(line));
  }

  static void pools(const LaunchContext& context, FlagReader& read, const EngineData& engine,
                    ScenarioDraft& draft) {
    const std::int64_t page = read.count_into("kv_cache.block_tokens", "--page-size", 1,
                                              engine.block.value, "SGLang's page for V4");
    if (page % 128 != 0) {
      const FlagUse& use = *read.find("--page-size");
      throw InputError(
          use.value_place,
          use.written + ": expected a multiple of 128, which V4 needs, got " + shown(use.value));
    }
    const std::string option = "kv_cache.layout_options.swa_full_tokens_ratio";
    if (const auto ratio = read.fraction("--swa-full-tokens-ratio")) {
      draft.set(option, number_text(*ratio), *read.find("--swa-full-tokens-ratio"));
    } else {
      draft.assume(option, number_text(window_ratio()), "SGLang's default for V4");
    }
    if (PolicyRegistry::find("pool") != nullptr) {
      const DraftLine& ratio_line = *draft.find(option);
      draft.assume("kv_cache.swa_policy", "pool=" + ratio_line.value,
                   "SGLang keeps windows in a pool of their own", Origin::engine);
    } else {
      draft.note(
          "SGLang keeps windows in a pool of their own with its own LRU order; the policy "
          "full stands in for it.");
    }
    draft.assume("kv_cache.indexer", "fp8", "SGLang's default");
    if (read.on("--enable-deepseek-v4-fp4-indexer")) {
      draft.set("kv_cache.indexer", "fp4", *read.find("--enable-deepseek-v4-fp4-indexer"));
    }
    compressor_state(context, draft);
    const std::string type = read.text("--kv-cache-dtype").value_or("auto");
    if (type != "auto" && type != "fp8_e4m3") {
      draft.leave_out(*read.find("--kv-cache-dtype"), "entries of another type than FP8");
    }
  }

  // Rows of compressor state in 16 instead of 32 bits.
  static void compressor_state(const LaunchContext& context, ScenarioDraft& draft) {
    const VariableUse* type = context.variable("SGLANG_DSV4_COMPRESS_STATE_DTYPE");
    if (type == nullptr || type->value.find("16") == std::string::npos) return;
    const std::string reason = type->name + '=' + type->value;
    const auto halve = [&](const char* path, std::int64_t bytes) {
      draft.set({path, std::to_string(bytes / 2) + " B", reason, Origin::command, type->place});
    };
    halve("model.cache.csa_tail", context.entry.csa_tail_bytes);
    halve("model.cache.hca_tail_row", context.entry.hca_tail_row_bytes);
  }

  // N steps of a draft head give N tokens; the verified ones count the next token too.
  static void speculation(const LaunchContext& context, FlagReader& read, ScenarioDraft& draft) {
    const FlagUse* algorithm = read.find("--speculative-algorithm");
    if (algorithm == nullptr || !read.text("--speculative-algorithm")) return;
    if (algorithm->value != "DSPARK") draft_with_one_layer(context, algorithm->quoted(), draft);
    if (const auto gamma = read.count("--speculative-dspark-block-size", 1, 64)) {
      draft.set("engine.draft_tokens", std::to_string(*gamma),
                *read.find("--speculative-dspark-block-size"));
    } else if (const auto verified = read.count("--speculative-num-draft-tokens", 1, 64)) {
      draft.set("engine.draft_tokens", std::to_string(std::max<std::int64_t>(1, *verified - 1)),
                *read.find("--speculative-num-draft-tokens"));
    } else if (const auto steps = read.count("--speculative-num-steps", 1, 64)) {
      draft.set("engine.draft_tokens", std::to_string(*steps),
                *read.find("--speculative-num-steps"));
    } else {
      draft.assume("engine.draft_tokens", "3", "SGLang's default for EAGLE: 3 steps, 4 tokens");
    }
    if (const auto steps = read.count("--speculative-num-steps", 1, 64)) {
      draft.set("engine.draft_steps", std::to_string(*steps),
                *read.find("--speculative-num-steps"));
    }
  }

  static void memory(const LaunchContext& context, FlagReader& read, const EngineSettings& settings,
                     ScenarioDraft& draft) {
    if (const auto given = read.fraction("--mem-fraction-static")) {
      draft.set("kv_cache.memory_fraction", number_text(*given),
                *read.find("--mem-fraction-static"));
      return;
    }
    if (const LogFact* stated = context.stated(LogQuantity::memory_fraction)) {
      draft.assume("kv_cache.memory_fraction", number_text(stated->low),
                   "line " + std::to_string(stated->place.line) + " of the log", Origin::log);
      return;
    }
    const std::string fraction = number_text(settings.memory_fraction);
    draft.assume(
        "kv_cache.memory_fraction", fraction,
        read.default_reason("--mem-fraction-static",
                            "SGLang's rule: what activations and graphs need stays outside"));
    read.stands_in("--mem-fraction-static", "kv_cache.memory_fraction", fraction);
  }

  static void remarks(FlagReader& read, const Ranks& ranks, ScenarioDraft& draft) {
    if (ranks.engines > 1) {
      draft.leave_out(*read.find("--dp-size"),
                      "without --enable-dp-attention these are " + std::to_string(ranks.engines) +
                          " engines beside each other; the scenario describes one");
    }
    if (read.on("--disable-radix-cache")) {
      draft.leave_out(*read.find("--disable-radix-cache"), "the prefix cache cannot be turned off");
    }
    if (read.find("--max-total-tokens") != nullptr) {
      draft.leave_out(*read.find("--max-total-tokens"),
                      "pools are as large as memory allows, not cut to a number of tokens");
    }
  }
};

[[maybe_unused]] const bool registered = DialectRegistry::add(
    "sglang", []() -> std::unique_ptr<EngineDialect> { return std::make_unique<SglangDialect>(); });

}  // namespace

}  // namespace v4cap
