# TensorRT-LLM, V4-Flash on eight B200 (as in the description of TensorRT-LLM PR 18410), attention
# ranks switched on in the file beside it
trtllm-serve deepseek-ai/DeepSeek-V4-Flash \
  --config trtllm_b200_flash.yaml --tp_size 8 --ep_size 8 --max_batch_size 512 --max_num_tokens 16384 \
  --kv_cache_free_gpu_memory_fraction 0.8 --trust_remote_code --host 0.0.0.0 --port 8000
