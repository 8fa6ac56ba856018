# SGLang cookbook, DeepSeek-V4, H200, Flash, FP8, high throughput, in a container
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
docker run --gpus all --shm-size 32g -p 30000:30000 --ipc=host \
  -e SGLANG_DSV4_FP4_EXPERTS=0 -e SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK=256 \
  lmsysorg/sglang:latest \
  sglang serve --trust-remote-code --model-path sgl-project/DeepSeek-V4-Flash-FP8 \
  --tp 4 --dp 4 --enable-dp-attention --moe-a2a-backend deepep --cuda-graph-max-bs-decode 128 \
  --max-running-requests 256 \
  --deepep-config '{"normal_dispatch":{"num_sms":96},"normal_combine":{"num_sms":96}}' \
  --host 0.0.0.0 --port 30000
