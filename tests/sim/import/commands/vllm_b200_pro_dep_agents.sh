# InferenceX, agentic replay, B200, vLLM with attention ranks and sparse windows in the prefix cache
# (SemiAnalysisAI/InferenceX: benchmarks/single_node/agentic/dsv4_fp4_b200_vllm.sh, 01fb21fe)
export VLLM_ENGINE_READY_TIMEOUT_S=3600
export VLLM_PREFIX_CACHE_RETENTION_INTERVAL=32768
vllm serve "$MODEL_PATH" --served-model-name deepseek-ai/DeepSeek-V4-Pro --host 0.0.0.0 --port 8001 \
  --trust-remote-code --kv-cache-dtype fp8 --block-size 256 \
  --tensor-parallel-size 1 --data-parallel-size 8 --enable-expert-parallel \
  --compilation-config '{"cudagraph_mode":"FULL_AND_PIECEWISE","custom_ops":["all"]}' \
  --attention_config.use_fp4_indexer_cache=True --tokenizer-mode deepseek_v4 \
  --tool-call-parser deepseek_v4 --enable-auto-tool-choice --reasoning-parser deepseek_v4 \
  --enable-prefix-caching --no-disable-hybrid-kv-cache-manager \
  --max-model-len 1000000 --max-num-seqs 16 \
  --kv-transfer-config '{"kv_connector":"MooncakeStoreConnector","kv_role":"kv_both","kv_connector_extra_config":{"load_async":true}}'
