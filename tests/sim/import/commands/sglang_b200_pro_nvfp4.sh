# SGLang cookbook, DeepSeek-V4, B200, Pro, NVFP4, low latency
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
sglang serve --trust-remote-code --model-path nvidia/DeepSeek-V4-Pro-NVFP4 --tp 8 \
  --moe-runner-backend flashinfer_trtllm_routed --speculative-algorithm EAGLE \
  --speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4 \
  --chunked-prefill-size 8192 --disable-flashinfer-autotune --swa-full-tokens-ratio 0.1 \
  --host 0.0.0.0 --port 30000
