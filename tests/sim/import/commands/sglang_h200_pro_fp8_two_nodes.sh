# SGLang cookbook, DeepSeek-V4, two H200 nodes, Pro, FP8, balanced
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
SGLANG_DSV4_FP4_EXPERTS=0 SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK=128 \
sglang serve --trust-remote-code --model-path sgl-project/DeepSeek-V4-Pro-FP8 \
  --tp 16 --dp 16 --enable-dp-attention --moe-a2a-backend deepep \
  --nnodes 2 --node-rank $NODE_RANK --dist-init-addr $NODE0_IP:20000 \
  --speculative-algorithm EAGLE --speculative-num-steps 1 --speculative-eagle-topk 1 \
  --speculative-num-draft-tokens 2 --mem-fraction-static 0.88 --cuda-graph-max-bs-decode 8 \
  --max-running-requests 32 --host 0.0.0.0 --port 30000
