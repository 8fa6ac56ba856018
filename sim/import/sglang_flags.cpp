// SGLang: `sglang serve`, `python3 -m sglang.launch_server`.
//
// Sources
//   [args] sgl-project/sglang: python/sglang/srt/server_args.py (autumn 2026), names of all flags
//   [v4]   same repository: python/sglang/srt/arg_groups/deepseek_v4_hook.py, defaults for V4
//   [mem]  same repository: memory settings of autumn 2026, the reserve behind the default fraction
//   [pool] same repository: pool_configurator.py, the lines that its log holds
#include <algorithm>

#include "sim/cache/swa_policy.h"
#include "sim/config/engine_file.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/engine_dialect.h"

namespace v4cap {

namespace {

constexpr double kWindowRatio = 0.1;  // [v4]
constexpr double kDeepepMib = 2048;   // [mem]
constexpr std::int64_t kCountMax = 1'000'000'000;

FlagTable flag_table() {
  FlagTable t({.underscores_are_hyphens = false, .no_prefix = true, .prefixes = true});
  // What a scenario holds.
  t.sets("--model-path --model")
      .sets("--tp-size --tp --tensor-parallel-size")
      .sets("--dp-size --dp --data-parallel-size")
      .sets("--ep-size --ep --expert-parallel-size")
      .sets("--enable-dp-attention", FlagKind::boolean)
      .sets("--moe-a2a-backend")
      .sets("--nnodes")
      .sets("--context-length")
      .sets("--mem-fraction-static")
      .sets("--max-running-requests")
      .sets("--chunked-prefill-size")
      .sets("--swa-full-tokens-ratio")
      .sets("--page-size")
      .sets("--speculative-algorithm --speculative-algo")
      .sets("--speculative-num-steps")
      .sets("--speculative-num-draft-tokens")
      .sets("--speculative-dspark-block-size")
      .sets("--enable-deepseek-v4-fp4-indexer", FlagKind::boolean)
      .sets("--cuda-graph-max-bs-decode --cuda-graph-max-bs")
      .sets("--disable-radix-cache", FlagKind::boolean)
      .sets("--served-model-name")
      .sets("--kv-cache-dtype")
      .sets("--max-total-tokens");

  t.not_modelled(FlagKind::value, "pipeline parallelism: layers are not cut into stages",
                 "pp-size|--pp|--pipeline-parallel-size pp-max-micro-batch-size "
                 "pp-async-batch-depth")
      .not_modelled(FlagKind::value, "flags that stand in a file: write them into the command",
                    "config")
      .not_modelled(FlagKind::value, "context parallelism",
                    "dcp-size|--decode-context-parallel-size attn-cp-size|"
                    "--attention-context-parallel-size cp-strategy dcp-comm-backend "
                    "dwdp-size moe-dp-size|--moe-data-parallel-size")
      .not_modelled(FlagKind::boolean, "context parallelism",
                    "enable-prefill-cp enable-dsa-cache-layer-split enable-cp-decode-attn-tp "
                    "dcp-replicate-q-proj enable-dsa-prefill-context-parallel "
                    "enable-nsa-prefill-context-parallel enable-prefill-context-parallel")
      .not_modelled(FlagKind::value, "prefill and decode on different GPUs",
                    "disaggregation-mode disaggregation-transfer-backend "
                    "disaggregation-bootstrap-port disaggregation-ib-device "
                    "disaggregation-decode-retraction-backup disaggregation-decode-extra-slots "
                    "disaggregation-decode-polling-interval num-reserved-decode-tokens "
                    "optimistic-prefill-attempts disaggregation-decode-tp "
                    "disaggregation-decode-dp disaggregation-prefill-pp pdmux-config-path "
                    "sm-group-num decoupled-spec-bind-endpoint decoupled-spec-connect-endpoints "
                    "decoupled-spec-rank decoupled-spec-role")
      .not_modelled(FlagKind::boolean, "prefill and decode on different GPUs",
                    "disaggregation-decode-enable-radix-cache "
                    "disaggregation-decode-enable-offload-kvcache enable-pdmux")
      .not_modelled(FlagKind::value, "a cache tier in host memory or on disk",
                    "hicache-host-memory-mode hicache-ratio hicache-size hicache-write-policy "
                    "hicache-io-backend hicache-mem-layout hicache-storage-backend "
                    "hicache-storage-prefetch-policy hicache-storage-backend-extra-config "
                    "lmcache-config-file flexkv-config-file")
      .not_modelled(FlagKind::boolean, "a cache tier in host memory or on disk",
                    "enable-hierarchical-cache enable-lmcache enable-flexkv")
      .not_modelled(FlagKind::boolean, "sparse attention over a cache in host memory",
                    "enable-hisparse")
      .not_modelled(FlagKind::value, "sparse attention over a cache in host memory",
                    "hisparse-config|--hierarchical-sparse-attention-extra-config")
      .not_modelled(FlagKind::value, "weights in host memory",
                    "cpu-offload-gb offload-group-size offload-num-in-group offload-prefetch-step "
                    "offload-mode kt-weight-path kt-method kt-cpuinfer kt-threadpool-count "
                    "kt-num-gpu-experts kt-max-deferred-experts-per-token")
      .not_modelled(FlagKind::value, "which kernels run",
                    "attention-backend decode-attention-backend prefill-attention-backend "
                    "sampling-backend fp8-gemm-backend|--fp8-gemm-runner-backend "
                    "fp4-gemm-backend|--fp4-gemm-runner-backend bf16-gemm-backend "
                    "dsa-prefill-backend|--nsa-prefill-backend "
                    "dsa-decode-backend|--nsa-decode-backend dsv4-prefill-backend "
                    "dsv4-attn-backend "
                    "dsa-paged-mqa-logits-backend dsa-topk-backend mamba-backend "
                    "moe-runner-backend flashinfer-mxfp4-moe-precision "
                    "flashinfer-allreduce-fusion-backend mm-attention-backend "
                    "linear-attn-backend linear-attn-decode-backend linear-attn-prefill-backend "
                    "linear-attn-verify-backend triton-attention-num-kv-splits "
                    "triton-attention-split-tile-size speculative-attention-mode "
                    "speculative-draft-attention-backend speculative-dsa-topk-backend "
                    "speculative-moe-runner-backend speculative-moe-a2a-backend")
      .not_modelled(FlagKind::boolean, "which kernels run",
                    "disable-flashinfer-autotune enable-fused-qk-norm-rope "
                    "enable-fused-moe-sum-all-reduce flashinfer-mla-disable-ragged "
                    "triton-attention-reduce-in-fp32 enable-w4a4-mxfp4-megamoe "
                    "disable-flashinfer-cutlass-moe-fp4-allgather disable-shared-experts-fusion "
                    "enforce-shared-experts-fusion enable-tf32-matmul enable-fp32-lm-head "
                    "enable-deterministic-inference enable-linear-replayssm "
                    "enable-linear-replayssm-spec")
      .not_modelled(FlagKind::list, "which kernels run", "flashinfer-autotune-skip-ops")
      .not_modelled(
          FlagKind::boolean, "how GPUs talk to each other",
          "enable-nccl-nvls enable-symm-mem disable-custom-all-reduce enable-mscclpp "
          "enable-torch-symm-mem enable-scattered-sconv enable-quant-communications "
          "enforce-disable-flashinfer-allreduce-fusion enable-flashinfer-allreduce-fusion "
          "enable-aiter-allreduce-fusion enable-dp-lm-head "
          "enable-tp-lm-head-all-to-all enable-attn-tp-input-scattered "
          "enable-shared-experts-attn-tp enable-dense-mlp-attn-tp "
          "disable-attn-tp-gather enable-p2p-check "
          "enable-dp-attention-local-control-broadcast")
      .not_modelled(FlagKind::value, "how experts are dispatched",
                    "deepep-mode deepep-v2-mode deepep-config deepep-dispatcher-output-dtype "
                    "fuseep-mode ep-num-redundant-experts ep-dispatch-algorithm "
                    "init-expert-location eplb-algorithm eplb-rebalance-num-iterations "
                    "eplb-rebalance-layers-per-chunk eplb-min-rebalancing-utilization-threshold "
                    "expert-distribution-recorder-mode expert-distribution-recorder-buffer-size "
                    "expert-balancedness-report-mode moe-dense-tp-size elastic-ep-backend "
                    "mooncake-ib-device elastic-ep-join-mode elastic-ep-join-rank-offset "
                    "elastic-ep-initial-size max-ep-size elastic-ep-scale-timeout")
      .not_modelled(FlagKind::boolean, "how experts are dispatched",
                    "enable-eplb enable-elastic-expert-backup enable-waterfill "
                    "enable-deepep-waterfill elastic-ep-rejoin enable-expert-distribution-metrics "
                    "enable-deepep-moe enable-ep-moe")
      .not_modelled(
          FlagKind::value, "CUDA graphs: every step costs the same with or without one",
          "cuda-graph-config cuda-graph-backend-decode cuda-graph-backend-prefill "
          "cuda-graph-max-bs-prefill cuda-graph-tc-compiler piecewise-cuda-graph-compiler "
          "piecewise-cuda-graph-max-tokens torch-compile-max-bs")
      .not_modelled(FlagKind::list, "CUDA graphs: every step costs the same with or without one",
                    "cuda-graph-bs-decode|--cuda-graph-bs cuda-graph-bs-prefill "
                    "piecewise-cuda-graph-tokens")
      .not_modelled(FlagKind::boolean, "CUDA graphs: every step costs the same with or without one",
                    "disable-cuda-graph disable-prefill-cuda-graph disable-decode-cuda-graph "
                    "disable-cuda-graph-padding enable-profile-cuda-graph enable-cudagraph-gc "
                    "debug-cuda-graph enable-torch-compile enable-torch-compile-debug-mode "
                    "enable-piecewise-cuda-graph disable-piecewise-cuda-graph "
                    "enforce-piecewise-cuda-graph")
      .not_modelled(FlagKind::value, "how the scheduler orders and delays requests",
                    "max-queued-requests max-prefill-tokens prefill-max-requests schedule-policy "
                    "schedule-conservativeness prefill-decode-interval default-priority-value "
                    "priority-scheduling-preemption-threshold retraction-policy "
                    "prefill-delayer-max-delay-passes prefill-delayer-token-usage-low-watermark "
                    "prefill-delayer-queue-min-ratio prefill-delayer-max-delay-ms "
                    "min-free-slots-delay num-continuous-decode-steps scheduler-recv-interval "
                    "load-balance-method tbo-token-distribution-threshold radix-eviction-policy "
                    "radix-cache-backend")
      .not_modelled(FlagKind::list, "how the scheduler orders and delays requests",
                    "prefill-delayer-forward-passes-buckets prefill-delayer-wait-seconds-buckets")
      .not_modelled(FlagKind::boolean, "how the scheduler orders and delays requests",
                    "enable-prefill-delayer enable-mixed-chunk enable-dynamic-chunking "
                    "enable-priority-scheduling disable-priority-preemption "
                    "abort-on-priority-when-disabled schedule-low-priority-values-first "
                    "disable-overlap-schedule enable-two-batch-overlap "
                    "enable-single-batch-overlap disable-chunked-prefix-cache "
                    "enable-session-radix-cache enable-streaming-session strip-thinking-cache")
      .not_modelled(FlagKind::boolean, "another layout of the memory pools",
                    "disable-hybrid-swa-memory enable-page-major-kv-layout enable-unified-memory "
                    "prefill-only-disable-kv-cache enable-swa-bounded-replay "
                    "enable-encoder-swa-bounded-replay enable-decoder-swa-bounded-replay "
                    "enable-unified-cache-external-linker")
      .not_modelled(FlagKind::value, "another layout of the memory pools", "c128-page-size")
      .not_modelled(FlagKind::value, "how drafts are made and accepted",
                    "speculative-draft-model-path|--speculative-draft-model "
                    "speculative-draft-model-revision speculative-draft-load-format "
                    "speculative-eagle-topk speculative-dflash-block-size "
                    "speculative-dspark-sps-table-path speculative-dspark-confidence-sts-path "
                    "speculative-accept-threshold-single speculative-accept-threshold-acc "
                    "speculative-token-map speculative-draft-kv-cache-dtype "
                    "speculative-draft-window-size speculative-draft-model-quantization "
                    "speculative-adaptive-config spec-trace-dir "
                    "speculative-ngram-min-bfs-breadth speculative-ngram-max-bfs-breadth "
                    "speculative-ngram-match-type speculative-ngram-max-trie-depth "
                    "speculative-ngram-capacity speculative-ngram-external-corpus-path "
                    "speculative-ngram-external-sam-budget "
                    "speculative-ngram-external-corpus-max-tokens")
      .not_modelled(FlagKind::boolean, "how drafts are made and accepted",
                    "speculative-use-rejection-sampling speculative-skip-dp-mlp-sync "
                    "speculative-adaptive enable-multi-layer-eagle "
                    "speculative-dspark-align-verify-tokens-to-graph-tier")
      .not_modelled(FlagKind::value, "quantisation of the weights when they are loaded",
                    "quantization dtype quantization-param-path modelopt-quant "
                    "modelopt-checkpoint-restore-path modelopt-checkpoint-save-path "
                    "modelopt-export-path rl-quant-profile json-model-override-args")
      .not_modelled(FlagKind::boolean, "quantisation of the weights when they are loaded",
                    "quantize-and-serve")
      .not_modelled(FlagKind::boolean, "adapters (LoRA)",
                    "enable-lora enable-lora-overlap-loading experts-shared-outer-loras "
                    "lora-use-virtual-experts lora-strict-loading")
      .not_modelled(FlagKind::value, "adapters (LoRA)",
                    "max-lora-rank max-loaded-loras max-loras-per-batch lora-eviction-policy "
                    "lora-backend max-lora-chunk-size lora-drain-wait-threshold")
      .not_modelled(FlagKind::list, "adapters (LoRA)", "lora-target-modules lora-paths")
      .not_modelled(FlagKind::value, "caches of other model families",
                    "max-mamba-cache-size mamba-ssm-dtype mamba-max-states-per-path "
                    "mamba-cache-philox-rounds mamba-full-memory-ratio mamba-radix-cache-strategy "
                    "mamba-track-interval int8-mamba-ckpt-size linear-replayssm-cache-len "
                    "dllm-algorithm dllm-algorithm-config mamba-scheduler-strategy")
      .not_modelled(FlagKind::boolean, "caches of other model families",
                    "enable-mamba-cache-stochastic-rounding enable-int8-mamba-checkpoint "
                    "dllm-fdfo");

  t.no_effect(
       FlagKind::value,
       "tokenizer-path tokenizer-mode tokenizer-backend tokenizer-worker-num "
       "detokenizer-worker-num load-format model-loader-extra-config revision model-impl "
       "model-config-parser nccl-port dist-timeout dist-init-addr|--nccl-init-addr "
       "gated-launch-port node-rank device base-gpu-id gpu-id-step random-seed "
       "watchdog-timeout soft-watchdog-timeout host port fastapi-root-path grpc-port sidecar "
       "sidecar-args warmups http2-max-concurrent-streams ssl-keyfile ssl-certfile "
       "ssl-ca-certs ssl-keyfile-password api-key admin-api-key weight-version "
       "chat-template hf-chat-template-name completion-template file-storage-path "
       "reasoning-parser default-chat-template-kwargs tool-call-parser tool-server "
       "sampling-defaults asr-max-buffer-seconds asr-max-concurrent-sessions "
       "preferred-sampling-params stream-interval batch-notify-size log-level "
       "log-level-http log-requests-level log-requests-format crash-dump-folder "
       "smg-http-sidecar-port|--grpc-http-sidecar-port load-snapshot-publish-interval "
       "tokenizer-metrics-custom-labels-header extra-metric-labels "
       "gc-warning-threshold-secs decode-log-interval kv-events-config "
       "forward-pass-metrics-worker-id forward-pass-metrics-ipc-name trace-modules "
       "otlp-traces-endpoint export-metrics-to-file-dir "
       "constrained-json-whitespace-pattern grammar-backend mm-process-config "
       "mm-processor-worker-num mm-io-worker-num media-url-max-file-size-mb "
       "mm-preprocess-cache-size-mb limit-mm-data-per-request image-processor-backend "
       "mm-global-cache-backend mm-feature-transport mm-max-concurrent-calls "
       "mm-per-request-timeout encoder-transfer-backend encoder-bootstrap-port "
       "startup-weight-load-mode weight-loader-prefetch-num-threads "
       "remote-instance-weight-loader-seed-instance-ip "
       "remote-instance-weight-loader-seed-instance-service-port "
       "remote-instance-weight-loader-send-weights-group-ports "
       "remote-instance-weight-loader-backend engine-info-bootstrap-port "
       "modelexpress-config download-dir model-checksum decrypted-config-file "
       "decrypted-draft-config-file rl-on-policy-target kv-canary kv-canary-real-data "
       "kv-canary-sweep-interval dynamic-batch-tokenizer-batch-size "
       "dynamic-batch-tokenizer-batch-timeout debug-tensor-dump-output-folder "
       "debug-tensor-dump-input-file return-hidden-states-mode weight-cache-mode "
       "weight-cache-socket weight-cache-timeout forward-hooks msprobe-dump-config "
       "expert-parallel-rank")
      .no_effect(FlagKind::boolean,
                 "trust-remote-code skip-tokenizer-init is-embedding enable-multimodal "
                 "mlx-enable-sampling sleep-on-idle use-ray smg-grpc-mode grpc-mode "
                 "skip-server-warmup enable-http2 enable-ssl-refresh enable-cache-report "
                 "enable-strict-thinking allow-auto-truncate "
                 "stream-response-default-include-usage incremental-streaming-output "
                 "stream-output log-requests show-time-cost enable-metrics enable-mfu-metrics "
                 "enable-metrics-for-all-schedulers enable-request-time-stats-logging "
                 "enable-forward-pass-metrics enable-trace export-metrics-to-file "
                 "constrained-json-disable-any-whitespace enable-layerwise-nvtx-marker "
                 "pre-warm-nccl enable-precise-embedding-interpolation "
                 "enable-broadcast-mm-inputs-process enable-prefix-mm-cache mm-enable-dp-encoder "
                 "trust-mm-content-hashes enable-mm-global-cache disable-fast-image-processor "
                 "keep-mm-feature-on-device encoder-only language-only language-model-only "
                 "enable-adaptive-dispatch-to-encoder weight-loader-disable-mmap "
                 "weight-loader-prefetch-checkpoints weight-loader-drop-cache-after-load "
                 "remote-instance-weight-loader-start-seed-via-transfer-engine "
                 "delete-ckpt-after-loading checkpoint-engine-wait-weights-before-ready "
                 "enable-dynamic-batch-tokenizer enable-tokenizer-batch-encode "
                 "disable-tokenizer-batch-decode enable-memory-saver enable-weights-cpu-backup "
                 "enable-draft-weights-cpu-backup enable-custom-logit-processor "
                 "enable-return-hidden-states enable-return-routed-experts "
                 "enable-return-indexer-topk disable-outlines-disk-cache enable-mis")
      .no_effect(FlagKind::list,
                 "numa-node gc-threshold log-requests-target uvicorn-access-log-exclude-prefixes "
                 "tokenizer-metrics-allowed-custom-labels bucket-time-to-first-token "
                 "bucket-inter-token-latency bucket-e2e-request-latency prompt-tokens-buckets "
                 "generation-tokens-buckets allowed-media-domains encoder-urls "
                 "encoder-register-urls custom-weight-loader debug-tensor-dump-layers");
  return t;
}

// Experts lie whole on GPUs under these; SGLang then spreads them over all of tensor parallelism.
bool spreads_experts(const std::string& backend) {
  return backend != "none" && !backend.empty();
}

class SglangDialect final : public EngineDialect {
 public:
  const FlagTable& flags() const override {
    static const FlagTable table = flag_table();
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
    std::optional<EngineData> engine = load_engine("sglang", "");
    if (!engine) throw InputError(Place{"engines/sglang.yaml"}, "expected the file of the engine");
    FractionRule& rule = engine->fraction_rule;
    if (const auto batch = read.count("--cuda-graph-max-bs-decode", 1, 1 << 20)) {
      rule.graph_batch = rule.graph_batch_small = static_cast<double>(*batch);
    }
    if (read.text("--moe-a2a-backend") == "deepep") rule.base += kDeepepMib;
    return *engine;
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
      draft.assume(option, number_text(kWindowRatio), "SGLang's default for V4");
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
