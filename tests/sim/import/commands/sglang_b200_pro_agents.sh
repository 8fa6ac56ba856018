# InferenceX, agentic replay, B200, SGLang with a cache tier in host memory
# (SemiAnalysisAI/InferenceX: benchmarks/single_node/agentic/dsv4_fp4_b200_sglang.sh, 02970faf)
CONC=48
export SGLANG_ENABLE_UNIFIED_RADIX_TREE=1
export SGLANG_OPT_SWA_SPLIT_LEAF_ON_INSERT=1
python3 -m sglang.launch_server \
  --model-path "$MODEL_PATH" --served-model-name deepseek-ai/DeepSeek-V4-Pro \
  --host 0.0.0.0 --port "$PORT" --trust-remote-code \
  --tp 8 --moe-runner-backend flashinfer_mxfp4 --disable-flashinfer-autotune \
  --mem-fraction-static 0.88 --swa-full-tokens-ratio 0.1 \
  --max-running-requests "$CONC" --cuda-graph-max-bs "$CONC" \
  --context-length "${MAX_MODEL_LEN:-1000000}" --chunked-prefill-size 8192 \
  --tool-call-parser deepseekv4 --reasoning-parser deepseek-v4 \
  --chat-template "$SCRIPT_DIR/deepseek_v4_thinking.jinja" --watchdog-timeout 1800 \
  --weight-loader-prefetch-checkpoints --enable-metrics \
  --enable-hierarchical-cache --hicache-ratio 8 --hicache-write-policy write_through \
  --hicache-io-backend direct --hicache-mem-layout page_first_direct > server.log 2>&1 &
