# SGLang cookbook, DeepSeek-V4, B200, Pro, FP4, high throughput
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
SGLANG_OPT_DEEPGEMM_MEGA_MOE_NUM_MAX_TOKENS_PER_RANK=8320 \
sglang serve --trust-remote-code --model-path deepseek-ai/DeepSeek-V4-Pro \
  --tp 8 --dp 8 --enable-dp-attention --moe-a2a-backend megamoe \
  --mem-fraction-static 0.835 --cuda-graph-max-bs-decode 544 --swa-full-tokens-ratio 0.075 \
  --chunked-prefill-size 65536 --tokenizer-worker-num 8 --enable-prefill-delayer \
  --host 0.0.0.0 --port 30000
