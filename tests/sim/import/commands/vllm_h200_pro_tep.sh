# vLLM recipe, DeepSeek-V4-Pro (preview) on one H200 node
# (vllm-project/recipes: models/deepseek-ai/DeepSeek-V4-Pro.yaml, 01595506)
vllm serve deepseek-ai/DeepSeek-V4-Pro --trust-remote-code --kv-cache-dtype fp8 --block-size 256 \
  --tensor-parallel-size 8 --enable-expert-parallel \
  --max-model-len 200000 --gpu-memory-utilization 0.95 --max-num-seqs 16 \
  --no-enable-flashinfer-autotune \
  --compilation-config '{"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}' \
  --tokenizer-mode deepseek_v4 --tool-call-parser deepseek_v4 --enable-auto-tool-choice \
  --reasoning-parser deepseek_v4 --speculative-config '{"method":"mtp","num_speculative_tokens":2}'
