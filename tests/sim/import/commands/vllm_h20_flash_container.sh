# vllm issue 51041: V4-Flash in TP2, started as a container; the weights are mounted as /model
docker run --gpus '"device=2,3"' --ipc host -p 8526:8526 \
  -v /models/DeepSeek-V4-Flash-0731:/model vllm/vllm-openai:v0.26.0-cu129 \
  /model --served-model-name DeepSeek-V4-Flash-0731 --trust-remote-code --kv-cache-dtype fp8 \
  --block-size 256 --tensor-parallel-size 2 --max-model-len 121344 --max-num-batched-tokens 8192 \
  --gpu-memory-utilization 0.95 --tokenizer-mode deepseek_v4 \
  --speculative-config '{"method":"mtp","num_speculative_tokens":1}'
