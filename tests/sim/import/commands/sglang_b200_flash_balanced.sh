# SGLang cookbook, DeepSeek-V4, B200, Flash, FP4, balanced
# (sgl-project/sglang: docs_new/src/snippets/configs/deepseek-ai/deepseek-v4.jsx, 01c5c03f)
export SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK=1024
sglang serve --trust-remote-code --model-path deepseek-ai/DeepSeek-V4-Flash \
  --tp 4 --dp 4 --enable-dp-attention --moe-a2a-backend deepep \
  --speculative-algorithm EAGLE --speculative-num-steps 1 --speculative-eagle-topk 1 \
  --speculative-num-draft-tokens 2 \
  --deepep-config "{\"normal_dispatch\":{\"num_sms\":96},\"normal_combine\":{\"num_sms\":96}}" \
  --host 0.0.0.0 --port 30000
