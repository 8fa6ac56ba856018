# SGLang cookbook, DeepSeek-V4, B200, Pro, FP4, balanced
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
sglang serve \
  --trust-remote-code \
  --model-path deepseek-ai/DeepSeek-V4-Pro \
  --tp 8 --dp 8 --enable-dp-attention \
  --moe-runner-backend flashinfer_mxfp4 \
  --disable-flashinfer-autotune \
  --chunked-prefill-size 32768 \
  --swa-full-tokens-ratio 0.1 \
  --speculative-algorithm EAGLE --speculative-num-steps 1 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 2 \
  --mem-fraction-static 0.92 \
  --cuda-graph-max-bs-decode 256 \
  --deepep-config '{"normal_dispatch":{"num_sms":96},"normal_combine":{"num_sms":96}}' \
  --host 0.0.0.0 --port 30000
