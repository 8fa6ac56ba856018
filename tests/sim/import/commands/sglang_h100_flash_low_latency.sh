# SGLang cookbook, DeepSeek-V4, H100, Flash, FP4, low latency
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
sglang serve --trust-remote-code --model-path deepseek-ai/DeepSeek-V4-Flash --tp 8 \
  --moe-runner-backend marlin --speculative-algorithm EAGLE --speculative-num-steps 3 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 4 --host 0.0.0.0 --port 30000
