// One decoder layer of DeepSeek-V4, and what a model has around its layers, as a sequence of
// operators. Written once for device and reference (executor.h).
//
//   attention   mhc_pre, norm, Wq_a | Wkv, norm, Wq_b, q_rope_kv_store, compressors, indexer,
//               attention, inverse RoPE, Wo_a, Wo_b, mhc_post
//   experts     mhc_pre, norm, router, routed and shared experts, sum, mhc_post
// The mhc_post of attention and the mhc_pre of the experts are one operator (mhc_post_pre).
// Source: DeepSeek-V4 inference reference (Block, Attention, MoE, Transformer, MTPBlock).
#pragma once

#include <cstdint>

#include "exec/layer/executor.h"
#include "exec/layer/layer_shape.h"
#include "exec/layer/state.h"
#include "exec/layer/weights.h"

namespace v4cap::exec {

// RoPE tables of an executor: theta 160000 with YaRN for layers with a compressor, else 10000.
struct RopeTables {
  Array<float> compressed, plain;
};
RopeTables rope_tables(Executor& executor, std::int64_t positions);

// What the layer's sublayers gave, for comparisons: outputs of attention and of the experts.
struct SublayerOutputs {
  Array<kernels::Bf16> attention, ffn;  // [tokens, hidden]
};

class LayerRunner {
 public:
  LayerRunner(Executor& executor, Side side, const LayerShape& shape, const RopeTables& rope)
      : executor_(executor), side_(side), shape_(shape), rope_(rope) {}

  // X [tokens, 4, hidden] becomes the layer's output in place.
  SublayerOutputs run(LayerWeights& weights, LayerState& state, const Step& step, kernels::Bf16* x);

  // Embedding of the step's tokens into the four streams.
  Array<kernels::Bf16> embed(ModelEnds& ends, const Step& step);
  // Head mixing, norm, LM head and greedy choice of every token.
  struct HeadOutputs {
    Array<float> logits;         // [tokens, vocab]
    Array<std::int32_t> chosen;  // [tokens]
  };
  HeadOutputs head(ModelEnds& ends, const Step& step, const kernels::Bf16* x, bool mtp);
  // Input of the MTP layer from the last layer's streams and the tokens that follow.
  Array<kernels::Bf16> mtp_input(ModelEnds& ends, const Step& next_tokens, const kernels::Bf16* x);

 private:
  struct Quantised {
    Array<std::uint8_t> codes;
    Array<float> scales;
    kernels::Fp8Rows rows;
  };
  Quantised quantised(int rows, int width);
  Quantised quantise(const kernels::Bf16* x, int rows, int width, std::int64_t stride);
  Quantised norm_quantise(const kernels::Bf16* x, int rows, int width, std::int64_t stride,
                          Buffer<float>& weight, kernels::Bf16* normed);
  // Rows of the product are `y_stride` apart where that is more than they are wide.
  Array<kernels::Bf16> project(const Quantised& x, int rows, Fp8Matrix& weights,
                               std::int64_t y_stride = 0);
  Array<float> project(const kernels::Bf16* x, int rows, int in, int out,
                       Buffer<kernels::Bf16>& weights);
  kernels::mhc_pre::Args mhc_args(MhcWeights& weights, int tokens, const kernels::Bf16* x,
                                  kernels::Bf16* y, float* post, float* comb);

  Array<kernels::Bf16> attention(LayerWeights& weights, LayerState& state, const Step& step,
                                 const kernels::Bf16* x);
  Array<std::int32_t> select(LayerWeights& weights, LayerState& state, const Step& step,
                             const Quantised& latent, const Array<float>& compressed);
  Array<kernels::Bf16> experts(LayerWeights& weights, const Step& step, const kernels::Bf16* x);

  Executor& executor_;
  Side side_;
  LayerShape shape_;
  const RopeTables& rope_;
};

}  // namespace v4cap::exec
