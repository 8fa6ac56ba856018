# vllm issue 51454: V4-Flash-0731 on eight B200 as eight attention ranks; the path is a Hugging Face cache
vllm serve /models/hub/models--deepseek-ai--DeepSeek-V4-Flash-0731/snapshots/7872f01b \
  --served-model-name deepseek-v4-flash-0731 --trust-remote-code \
  -dp 8 --enable-expert-parallel --block-size=256 --gpu_memory_utilization 0.95 \
  --kv-cache-dtype fp8 --max-num-batched-tokens 8192 --max-num-seqs 256 \
  --moe-backend deep_gemm_mega_moe --no-async-scheduling \
  --tokenizer-mode deepseek_v4 --tool-call-parser deepseek_v4 --reasoning-parser deepseek_v4 \
  --enable-auto-tool-choice
