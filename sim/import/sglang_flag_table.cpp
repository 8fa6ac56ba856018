// Source: sgl-project/sglang, server_args.py (autumn 2026), names of all flags.
#include "sim/import/sglang_flags.h"

namespace v4cap {

FlagTable sglang_flag_table() {
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
      .sets("--max-prefill-tokens")
      .sets("--schedule-conservativeness")
      .sets("--enable-mixed-chunk", FlagKind::boolean)
      .sets("--swa-full-tokens-ratio")
      .sets("--page-size")
      .sets("--speculative-algorithm --speculative-algo")
      .sets("--speculative-num-steps")
      .sets("--speculative-num-draft-tokens")
      .sets("--speculative-dspark-block-size")
      .sets("--enable-deepseek-v4-fp4-indexer", FlagKind::boolean)
      .sets("--cuda-graph-max-bs-decode --cuda-graph-max-bs")
      .sets("--enable-prefill-delayer", FlagKind::boolean)
      .sets("--prefill-delayer-max-delay-passes")
      .sets("--disable-overlap-schedule", FlagKind::boolean)
      .sets("--disable-cuda-graph --disable-decode-cuda-graph", FlagKind::boolean)
      .sets("--disable-cuda-graph-padding", FlagKind::boolean)
      .sets("--load-balance-method")
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
          FlagKind::value,
          "CUDA graphs: prefill runs without one, decode with captured batch sizes",
          "cuda-graph-config cuda-graph-backend-decode cuda-graph-backend-prefill "
          "cuda-graph-max-bs-prefill cuda-graph-tc-compiler piecewise-cuda-graph-compiler "
          "piecewise-cuda-graph-max-tokens torch-compile-max-bs")
      .not_modelled(FlagKind::list,
                    "CUDA graphs: prefill runs without one, decode with captured batch sizes",
                    "cuda-graph-bs-decode|--cuda-graph-bs cuda-graph-bs-prefill "
                    "piecewise-cuda-graph-tokens")
      .not_modelled(FlagKind::boolean,
                    "CUDA graphs: prefill runs without one, decode with captured batch sizes",
                    "disable-prefill-cuda-graph enable-profile-cuda-graph enable-cudagraph-gc "
                    "debug-cuda-graph enable-torch-compile enable-torch-compile-debug-mode "
                    "enable-piecewise-cuda-graph disable-piecewise-cuda-graph "
                    "enforce-piecewise-cuda-graph")
      .not_modelled(FlagKind::value, "how the scheduler orders and delays requests",
                    "max-queued-requests prefill-max-requests schedule-policy "
                    "prefill-decode-interval default-priority-value "
                    "priority-scheduling-preemption-threshold retraction-policy "
                    "prefill-delayer-token-usage-low-watermark "
                    "prefill-delayer-queue-min-ratio prefill-delayer-max-delay-ms "
                    "min-free-slots-delay num-continuous-decode-steps scheduler-recv-interval "
                    "tbo-token-distribution-threshold radix-eviction-policy "
                    "radix-cache-backend")
      .not_modelled(FlagKind::list, "how the scheduler orders and delays requests",
                    "prefill-delayer-forward-passes-buckets prefill-delayer-wait-seconds-buckets")
      .not_modelled(FlagKind::boolean, "how the scheduler orders and delays requests",
                    "enable-dynamic-chunking "
                    "enable-priority-scheduling disable-priority-preemption "
                    "abort-on-priority-when-disabled schedule-low-priority-values-first "
                    "enable-two-batch-overlap "
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

}  // namespace v4cap
