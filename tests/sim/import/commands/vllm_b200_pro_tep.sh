# vLLM recipe, DeepSeek-V4-Pro-0813 on one B200 node, tensor and expert parallel, DSpark drafts
# (vllm-project/recipes: models/deepseek-ai/DeepSeek-V4-Pro.yaml, 01595506)
vllm serve deepseek-ai/DeepSeek-V4-Pro-0813 \
  --trust-remote-code --kv-cache-dtype fp8 --block-size 256 \
  --tensor-parallel-size 8 --enable-expert-parallel \
  --compilation-config '{"cudagraph_mode":"FULL_AND_PIECEWISE", "custom_ops":["all"]}' \
  --attention_config.indexer_kv_dtype=mxfp4 --moe-backend deep_gemm_mega_moe \
  --tokenizer-mode deepseek_v4 --tool-call-parser deepseek_v4 --enable-auto-tool-choice \
  --reasoning-parser deepseek_v4 \
  --speculative-config '{"method":"dspark","num_speculative_tokens":7,"draft_sample_method":"probabilistic"}'
