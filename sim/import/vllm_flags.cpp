// vLLM: `vllm serve MODEL`, `python -m vllm.entrypoints.openai.api_server`, or the arguments of a
// vllm/vllm-openai container.
//
// Defaults are those of scenarios/engines/vllm.yaml, so that a scenario has the same.
//
// Sources
//   [args]  vllm-project/vllm: vllm/engine/arg_utils.py, vllm/entrypoints/openai/cli_args.py
//           (autumn 2026), names of all flags
//   [cache] same repository: vllm/config/cache.py
//   [log]   lines as quoted in vllm issues 51041, 51454 and 40899
#include <algorithm>

#include "sim/cache/swa_policy.h"
#include "sim/config/engine_file.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/engine_dialect.h"

namespace v4cap {

namespace {

constexpr std::int64_t kAsyncSteps = 2;  // async scheduling keeps two steps in flight

FlagTable flag_table() {
  FlagTable t({.underscores_are_hyphens = true, .no_prefix = true, .prefixes = false});
  t.sets("--model")
      .sets("--tensor-parallel-size -tp")
      .sets("--data-parallel-size -dp")
      .sets("--enable-expert-parallel -ep", FlagKind::boolean)
      .sets("--max-model-len")
      .sets("--gpu-memory-utilization")
      .sets("--kv-cache-memory-bytes --kv-cache-memory")
      .sets("--max-num-seqs")
      .sets("--max-num-batched-tokens")
      .sets("--long-prefill-token-threshold")
      .sets("--block-size")
      .sets("--kv-cache-dtype")
      .sets("--speculative-config -sc", FlagKind::json)
      .sets("--spec-tokens")
      .sets("--spec-method")
      .sets("--async-scheduling", FlagKind::boolean)
      .sets("--attention-config -ac", FlagKind::json)
      .sets("--enable-prefix-caching", FlagKind::boolean)
      .sets("--prefix-cache-retention-interval")
      .sets("--served-model-name", FlagKind::list);

  t.not_modelled(FlagKind::value, "pipeline parallelism: layers are not cut into stages",
                 "pipeline-parallel-size|-pp")
      .not_modelled(FlagKind::value, "flags that stand in a file: write them into the command",
                    "config")
      .not_modelled(FlagKind::value, "context parallelism",
                    "decode-context-parallel-size|-dcp prefill-context-parallel-size|-pcp "
                    "dcp-comm-backend dcp-kv-cache-interleave-size cp-kv-cache-interleave-size")
      .not_modelled(FlagKind::boolean, "context parallelism", "dcp-q-replicate")
      .not_modelled(FlagKind::json, "KV that is moved to other engines, to the host or to disk",
                    "kv-transfer-config ec-transfer-config ec-manager-config")
      .not_modelled(FlagKind::value, "KV that is moved to other engines, to the host or to disk",
                    "kv-offloading-size kv-offloading-backend swap-space")
      .not_modelled(FlagKind::value, "weights in host memory",
                    "cpu-offload-gb offload-backend offload-group-size offload-num-in-group "
                    "offload-prefetch-step")
      .not_modelled(FlagKind::list, "weights in host memory", "cpu-offload-params offload-params")
      .not_modelled(FlagKind::json, "weights in host memory", "engram-config")
      .not_modelled(FlagKind::value, "which kernels run",
                    "attention-backend moe-backend linear-backend mamba-backend "
                    "mamba-ssu-algorithm gdn-prefill-backend kda-prefill-backend "
                    "performance-mode optimization-level|-O")
      .not_modelled(FlagKind::json, "which kernels run", "kernel-config ir-op-priority")
      .not_modelled(FlagKind::boolean, "which kernels run",
                    "enable-flashinfer-autotune enable-bf16x3-router-gemm disable-cascade-attn "
                    "disable-sliding-window kv-sharing-fast-prefill use-fp64-gumbel")
      .not_modelled(FlagKind::json, "CUDA graphs: every step costs the same with or without one",
                    "compilation-config|-cc")
      .not_modelled(FlagKind::list, "CUDA graphs: every step costs the same with or without one",
                    "cudagraph-capture-sizes|--cuda-graph-sizes")
      .not_modelled(FlagKind::value, "CUDA graphs: every step costs the same with or without one",
                    "max-cudagraph-capture-size max-seq-len-to-capture")
      .not_modelled(FlagKind::boolean, "CUDA graphs: every step costs the same with or without one",
                    "enforce-eager")
      .not_modelled(FlagKind::value, "how experts are dispatched",
                    "all2all-backend expert-placement-strategy")
      .not_modelled(FlagKind::json, "how experts are dispatched", "eplb-config")
      .not_modelled(FlagKind::boolean, "how experts are dispatched",
                    "enable-eplb enable-elastic-ep enable-ep-weight-filter "
                    "enable-batch-sharded-sampling")
      .not_modelled(FlagKind::boolean, "how GPUs talk to each other",
                    "disable-custom-all-reduce disable-nccl-for-dp-synchronization "
                    "enable-nccl-comm-suspend")
      .not_modelled(FlagKind::value, "how the scheduler orders and delays requests",
                    "max-num-scheduled-tokens max-num-queued-reqs max-num-queued-tokens "
                    "scheduling-policy scheduler-cls watermark "
                    "prefill-schedule-interval max-num-partial-prefills "
                    "max-long-partial-prefills ubatch-size dbo-decode-token-threshold "
                    "dbo-prefill-token-threshold dp-sync-interval num-lookahead-slots "
                    "num-scheduler-steps")
      .not_modelled(FlagKind::boolean, "how the scheduler orders and delays requests",
                    "enable-chunked-prefill enable-dbo scheduler-reserve-full-isl "
                    "disable-chunked-mm-input")
      .not_modelled(FlagKind::boolean, "another layout of the memory pools",
                    "disable-hybrid-kv-cache-manager calculate-kv-scales use-replayssm")
      .not_modelled(FlagKind::value, "another layout of the memory pools",
                    "num-gpu-blocks-override kv-cache-dtype-skip-layers prefix-match-unit "
                    "prefix-caching-hash-algo replayssm-buffer-len")
      .not_modelled(FlagKind::value, "how drafts are made and accepted", "spec-model")
      .not_modelled(FlagKind::value, "quantisation of the weights when they are loaded",
                    "dtype quantization|-q")
      .not_modelled(FlagKind::json, "quantisation of the weights when they are loaded",
                    "hf-overrides quantization-config model-class-overrides")
      .not_modelled(FlagKind::boolean, "quantisation of the weights when they are loaded",
                    "allow-deprecated-quantization")
      .not_modelled(FlagKind::boolean, "adapters (LoRA)",
                    "enable-lora enable-lora-bias fully-sharded-loras "
                    "enable-tower-connector-lora specialize-active-lora "
                    "enable-mixed-moe-lora-format enable-moe-shared-loras")
      .not_modelled(FlagKind::value, "adapters (LoRA)",
                    "max-loras max-lora-rank lora-dtype max-cpu-loras default-mm-loras")
      .not_modelled(FlagKind::list, "adapters (LoRA)", "lora-modules lora-target-modules")
      .not_modelled(FlagKind::value, "caches of other model families",
                    "mamba-cache-dtype mamba-ssm-cache-dtype mamba-block-size mamba-cache-mode "
                    "mamba-cache-philox-rounds")
      .not_modelled(FlagKind::boolean, "caches of other model families",
                    "enable-mamba-cache-stochastic-rounding");

  t.no_effect(FlagKind::value,
              "host port uds api-server-count|-asc headless-port tokenizer tokenizer-mode "
              "tokenizer-revision revision code-revision hf-token hf-config-path config-format "
              "load-format download-dir safetensors-load-strategy "
              "safetensors-prefetch-num-threads safetensors-prefetch-block-size "
              "model-loader-extra-config pt-load-map-location model-weights model-impl runner "
              "convert task seed max-logprobs logprobs-mode allowed-local-media-path "
              "allowed-media-domains generation-config override-generation-config "
              "pooler-config logits-processor-pattern io-processor-plugin renderer-num-workers "
              "reasoning-parser reasoning-parser-plugin tool-call-parser tool-parser-plugin "
              "tool-server chat-template chat-template-content-format "
              "default-chat-template-kwargs response-role log-config-file max-log-len "
              "uvicorn-log-level disable-access-log-for-endpoints allowed-origins "
              "allowed-methods allowed-headers ssl-keyfile ssl-certfile "
              "ssl-ca-certs ssl-cert-reqs ssl-ciphers root-path middleware "
              "h11-max-incomplete-event-size h11-max-header-count cohere-format "
              "cohere-is-reasoning-model fingerprint-mode fingerprint-value "
              "data-parallel-supervisor-port dp-supervisor-probe-interval-s "
              "dp-supervisor-probe-timeout-s dp-supervisor-probe-failure-threshold "
              "distributed-executor-backend master-addr master-port nnodes|-n node-rank|-r "
              "distributed-timeout-seconds cpu-distributed-timeout-seconds numa-bind-nodes "
              "numa-bind-cpus device-ids data-parallel-rank|-dpn data-parallel-start-rank|-dpr "
              "data-parallel-size-local|-dpl data-parallel-address|-dpa "
              "data-parallel-rpc-port|-dpp data-parallel-backend|-dpb "
              "max-parallel-loading-workers worker-cls worker-extension-cls "
              "limit-mm-per-prompt media-io-kwargs mm-processor-kwargs mm-processor-cache-gb "
              "mm-processor-cache-type mm-hasher-algorithm mm-shm-cache-max-object-size-mb "
              "mm-encoder-tp-mode mm-encoder-attn-backend mm-encoder-attn-dtype "
              "mm-encoder-fp8-scale-path mm-encoder-fp8-scale-save-path "
              "mm-encoder-fp8-scale-save-margin video-pruning-rate video-pruning-method "
              "mm-tensor-ipc mm-processor-device mm-ipc-gpu-memory-gb "
              "show-hidden-metrics-for-version otlp-traces-endpoint collect-detailed-traces "
              "kv-cache-metrics-sample jit-monitor-mode stream-interval shutdown-timeout "
              "guided-decoding-backend frontend")
      .no_effect(FlagKind::list, "api-key ignore-patterns logits-processors")
      .no_effect(FlagKind::json,
                 "kv-events-config reasoning-config structured-outputs-config profiler-config "
                 "additional-config weight-transfer-config fault-tolerance-config "
                 "diffusion-config|-dc")
      .no_effect(FlagKind::boolean,
                 "trust-remote-code enable-auto-tool-choice "
                 "exclude-tools-when-tool-choice-none headless skip-tokenizer-init "
                 "enable-prompt-embeds enable-sleep-mode enable-cumem-allocator "
                 "enable-return-routed-experts return-sampling-mask enable-trace-replay "
                 "use-tqdm-on-load trust-request-chat-template return-tokens-as-token-ids "
                 "enable-prompt-tokens-details enable-per-request-metrics "
                 "enable-server-load-tracking enable-force-include-usage "
                 "enable-tokenizer-info-endpoint enable-log-outputs enable-log-deltas "
                 "log-error-stack tokens-only disable-uvicorn-access-log allow-credentials "
                 "enable-ssl-refresh enable-request-id-headers disable-fastapi-docs "
                 "enable-offline-docs enable-flash-late-interaction numa-bind "
                 "data-parallel-hybrid-lb|-dph data-parallel-external-lb|-dpe "
                 "data-parallel-multi-port-external-lb|-dpm ray-workers-use-nsight "
                 "enable-fault-tolerance language-model-only enable-mm-embeds mm-encoder-only "
                 "interleave-mm-strings skip-mm-profiling mm-device-do-normalize "
                 "per-request-spec-decode-metrics kv-cache-metrics cudagraph-metrics "
                 "enable-layerwise-nvtx-tracing enable-mfu-metrics "
                 "enable-logging-iteration-details jit-monitor-verbose disable-log-stats "
                 "aggregate-engine-logging fail-on-environ-validation disable-log-requests "
                 "enable-log-requests disable-frontend-multiprocessing "
                 "disable-mm-preprocessor-cache use-v2-block-manager enable-reasoning grpc");
  return t;
}

class VllmDialect final : public EngineDialect {
 public:
  const FlagTable& flags() const override {
    static const FlagTable table = flag_table();
    return table;
  }

  const std::vector<EngineVariable>& variables() const override {
    static const std::vector<EngineVariable> known = {
        {"VLLM_PREFIX_CACHE_RETENTION_INTERVAL", FlagEffect::sets, ""},
        {"VLLM_USE_SIMPLE_KV_OFFLOAD", FlagEffect::not_modelled,
         "KV that is moved to other engines, to the host or to disk"},
        {"VLLM_ROCM_USE_AITER", FlagEffect::not_modelled, "which kernels run"},
        {"VLLM_USE_NCCL_SYMM_MEM", FlagEffect::not_modelled, "how GPUs talk to each other"},
        {"VLLM_ALLREDUCE_USE_SYMM_MEM", FlagEffect::not_modelled, "how GPUs talk to each other"},
        {"VLLM_MARLIN_INPUT_DTYPE", FlagEffect::not_modelled, "which kernels run"},
        {"VLLM_FLOAT32_MATMUL_PRECISION", FlagEffect::none, ""},
        {"VLLM_ENGINE_READY_TIMEOUT_S", FlagEffect::none, ""},
        {"VLLM_LOGGING_LEVEL", FlagEffect::none, ""},
        {"VLLM_API_KEY", FlagEffect::none, ""},
        {"VLLM_HOST_IP", FlagEffect::none, ""},
        {"VLLM_USE_V1", FlagEffect::none, ""},
    };
    return known;
  }

  const std::vector<LogLine>& log_lines() const override {
    static const std::vector<LogLine> lines = {
        {"Model loading took", {{"Model loading took ", LogQuantity::weights_gib}}},
        {"Available KV cache memory",
         {{"Available KV cache memory: ", LogQuantity::kv_memory_gib}}},
        {"GPU KV cache size", {{"GPU KV cache size: ", LogQuantity::kv_cache_tokens}}},
        // "Maximum concurrency for 121,344 tokens per request: 1.24x"
        {"Maximum concurrency for",
         {{"Maximum concurrency for ", LogQuantity::max_context_tokens},
          {"per request: ", LogQuantity::max_concurrency}}},
        {"Chunked prefill is enabled with max_num_batched_tokens",
         {{"max_num_batched_tokens=", LogQuantity::step_tokens}}},
        {"Asynchronous scheduling is",
         {{"Asynchronous scheduling is ", LogQuantity::async_scheduling}}},
        {"vLLM API server version", {{"vLLM API server version ", LogQuantity::version}}},
        {"  version ", {{"  version ", LogQuantity::version}}},
    };
    return lines;
  }

  std::optional<std::size_t> arguments_begin(const std::vector<ShellWord>& words) const override {
    if (const auto at = after_words(words, "vllm", "serve")) return at;
    if (const auto at = after_words(words, "-m", "vllm.entrypoints.openai.api_server")) return at;
    // A container whose entry point is the server: `docker run ... vllm/vllm-openai:TAG --model M`.
    const auto is_image = [](const ShellWord& w) {
      return w.text.find("vllm/vllm-openai") != std::string::npos;
    };
    const auto image = std::ranges::find_if(words, is_image);
    if (std::ranges::find(words.begin(), image, "run", &ShellWord::text) == image) {
      return std::nullopt;  // `docker pull`
    }
    if (image == words.end()) return std::nullopt;
    return static_cast<std::size_t>(image - words.begin()) + 1;
  }

  const ShellWord* positional_model(const FlagUses& flags) const override {
    return flags.positional.empty() ? nullptr : &flags.positional.front();
  }
  std::string_view model_flag() const override { return "--model"; }

  void translate(const LaunchContext& context, ScenarioDraft& draft) const override {
    FlagReader read(context, draft);
    parallelism(read, draft);
    draft.assume("kv_cache.layout", "vllm", "told from the command", Origin::command);
    const EngineData engine = known_engine("vllm");
    scheduling(context, engine, read, draft);
    steps_in_flight(context, read, draft);
    cache(context, engine, read, draft);
    draft_tokens(context, read, draft);
    memory(engine, read, draft);
  }

 private:
  static void parallelism(FlagReader& read, ScenarioDraft& draft) {
    const std::int64_t tp = read.count_into("deployment.tensor_parallel", "--tensor-parallel-size",
                                            1, 1, "vLLM's default");
    const std::string ranks = "deployment.data_parallel";
    const std::int64_t dp = read.count_or(ranks, "--data-parallel-size", 1, 1024, 1);
    if (read.open("--data-parallel-size")) {
      draft.assume(ranks, "1", read.default_reason("--data-parallel-size", "vLLM's default"));
    } else if (dp > 1) {
      draft.set(ranks, std::to_string(dp), *read.find("--data-parallel-size"));
    }
    if (read.on("--enable-expert-parallel")) {
      draft.set("deployment.expert_parallel", std::to_string(tp * dp),
                *read.find("--enable-expert-parallel"));
    } else {
      draft.assume("deployment.expert_parallel", "1", "no --enable-expert-parallel");
    }
  }

  static void scheduling(const LaunchContext& context, const EngineData& engine, FlagReader& read,
                         ScenarioDraft& draft) {
    const Bytes gpu = context.hardware.gpu.memory;
    // vLLM's ranks each have these for themselves, so widths do not matter.
    const EngineSettings defaults = settle_engine(engine, gpu, {}, context.model.max_context);
    const std::string reason = std::string("vLLM's default ") +
                               (gpu >= engine.large_gpu ? "from " : "below ") +
                               number_text(to_gib(engine.large_gpu)) + " GiB of GPU memory";
    read.count_into("engine.max_running", "--max-num-seqs", 1, defaults.max_running, reason);
    read.count_into("engine.step_tokens", "--max-num-batched-tokens", 1, defaults.step_tokens.value,
                    reason);
    const std::optional<std::string> length = read.text("--max-model-len");
    read.stands_in("--max-model-len", "engine.max_context_tokens", "");
    if (length && *length != "auto" && *length != "-1") {
      draft.set("engine.max_context_tokens", std::to_string(*read.count("--max-model-len", 1)),
                *read.find("--max-model-len"));
    }
    if (const auto most = read.count("--long-prefill-token-threshold", 0)) {
      draft.set("engine.long_prefill_token_threshold", std::to_string(*most),
                *read.find("--long-prefill-token-threshold"));
    }
  }

  static void steps_in_flight(const LaunchContext& context, FlagReader& read,
                              ScenarioDraft& draft) {
    const auto steps = [](bool async) { return std::to_string(async ? kAsyncSteps : 1); };
    if (const FlagUse* use = read.find("--async-scheduling")) {
      draft.set("engine.steps_in_flight", steps(use->value == "true"), *use);
    } else if (const LogFact* stated = context.stated(LogQuantity::async_scheduling)) {
      draft.assume("engine.steps_in_flight", steps(stated->low == 1),
                   "line " + std::to_string(stated->place.line) + " of the log", Origin::log);
    } else {
      draft.assume("engine.steps_in_flight", steps(true),
                   "async scheduling is vLLM's default; --no-async-scheduling turns it off");
    }
  }

  static void cache(const LaunchContext& context, const EngineData& engine, FlagReader& read,
                    ScenarioDraft& draft) {
    const std::int64_t block = read.count_into("kv_cache.block_tokens", "--block-size", 1,
                                               engine.block.value, "vLLM's logical block for V4");
    windows(context, read, block, draft);
    draft.assume("kv_cache.indexer", "fp8", "vLLM's default");
    if (const FlagUse* use = read.find("--attention-config")) {
      read.text("--attention-config");  // says so where only the shell knows it
      const auto field = [&](const char* name) {
        const auto it = use->fields.find(name);
        return it == use->fields.end() ? std::string() : it->second;
      };
      const std::string type = field("indexer_kv_dtype");
      std::string flag = field("use_fp4_indexer_cache");
      std::ranges::transform(flag, flag.begin(), [](unsigned char c) { return std::tolower(c); });
      if (flag == "true" || type == "mxfp4" || type == "fp4") {
        draft.set("kv_cache.indexer", "fp4", *use);
      }
    }
    const std::string type = read.text("--kv-cache-dtype").value_or("auto");
    if (!type.starts_with("fp8") && type != "auto") {
      draft.leave_out(*read.find("--kv-cache-dtype"), "entries of another type than FP8");
    }
    const FlagUse* prefix = read.find("--enable-prefix-caching");
    if (prefix != nullptr && prefix->value == "false") {
      draft.leave_out(*prefix, "the prefix cache cannot be turned off");
    }
  }

  // Windows are kept where a prompt ends, and with an interval at its multiples too [cache].
  static void windows(const LaunchContext& context, FlagReader& read, std::int64_t block,
                      ScenarioDraft& draft) {
    DraftLine line{"kv_cache.swa_policy", "", "", Origin::command, {}};
    std::string interval;
    if (const auto flag = read.text("--prefix-cache-retention-interval")) {
      const FlagUse& use = *read.find("--prefix-cache-retention-interval");
      line.reason = use.quoted();
      line.place = use.value_place;
      interval = *flag;
    } else if (const VariableUse* set = context.variable("VLLM_PREFIX_CACHE_RETENTION_INTERVAL")) {
      line.reason = set->name + '=' + set->value;
      line.place = set->place;
      interval = set->value;
    }
    if (interval.empty() || interval == "auto") {
      line.reason = "windows are kept where a prompt ends, vLLM's default";
      line.origin = Origin::engine;
      interval = "0";
    }
    const std::optional<std::int64_t> tokens = parse_engine_count(interval);
    if (interval == "None" || interval == "none") {
      line.value = "full";
    } else if (!tokens || *tokens < 0 || *tokens % block != 0) {
      throw InputError(line.place, line.reason + ": expected a multiple of the block of " +
                                       std::to_string(block) + " tokens, got " + shown(interval));
    } else {
      line.value = *tokens == 0 ? "tail" : "checkpoint=" + std::to_string(*tokens) + "+ends";
    }
    draft.set(line);
  }

  static void draft_tokens(const LaunchContext& context, FlagReader& read, ScenarioDraft& draft) {
    const std::string path = "engine.draft_tokens";
    if (const auto tokens = read.count("--spec-tokens", 1, 64)) {
      draft.set(path, std::to_string(*tokens), *read.find("--spec-tokens"));
      return;
    }
    const FlagUse* use = read.find("--speculative-config");
    if (use == nullptr || use->fields.empty()) {
      read.text("--speculative-config");  // says so where only the shell knows it
      return;
    }
    std::string given;
    for (const auto& [name, value] : use->fields) {
      std::string key = name;
      std::ranges::replace(key, '-', '_');
      if (key == "num_speculative_tokens") given = value;
    }
    const std::optional<std::int64_t> tokens = parse_engine_count(given);
    if (!tokens || *tokens < 1 || *tokens > 64) {
      throw InputError(use->value_place,
                       use->written +
                           ": num_speculative_tokens: expected a whole number from 1 "
                           "to 64, got " +
                           shown(given));
    }
    draft.set(path, std::to_string(*tokens), *use);
    const auto method = use->fields.find("method");
    if (method != use->fields.end() && method->second.find("mtp") != std::string::npos) {
      draft_with_one_layer(context, "method mtp", draft);
    }
  }

  static void memory(const EngineData& engine, FlagReader& read, ScenarioDraft& draft) {
    if (const auto bytes = read.count("--kv-cache-memory-bytes", 1, INT64_C(1) << 42)) {
      draft.set("kv_cache.memory", std::to_string(*bytes) + " B",
                *read.find("--kv-cache-memory-bytes"));
    }
    read.stands_in("--kv-cache-memory-bytes", "kv_cache.memory", "");
    const std::string path = "kv_cache.memory_fraction", flag = "--gpu-memory-utilization";
    if (const auto fraction = read.fraction(flag)) {
      draft.set(path, number_text(*fraction), *read.find(flag));
    } else {
      draft.assume(path, number_text(*engine.memory_fraction),
                   read.default_reason(flag, "vLLM's default"));
      read.stands_in(flag, path, number_text(*engine.memory_fraction));
    }
  }
};

[[maybe_unused]] const bool registered = DialectRegistry::add(
    "vllm", []() -> std::unique_ptr<EngineDialect> { return std::make_unique<VllmDialect>(); });

}  // namespace

}  // namespace v4cap
