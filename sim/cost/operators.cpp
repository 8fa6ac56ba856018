#include "sim/cost/operators.h"

#include <string>

#include "kernels/all_reduce/work.h"
#include "kernels/embedding/work.h"
#include "kernels/experts/work.h"
#include "kernels/head/work.h"
#include "kernels/mhc_post/work.h"
#include "kernels/mhc_pre/work.h"
#include "kernels/mlp/work.h"
#include "kernels/rmsnorm_quant/work.h"
#include "kernels/router/work.h"
#include "sim/core/error.h"
#include "sim/cost/operator_builder.h"

namespace v4cap {
namespace {

namespace k = kernels;

std::int64_t divide_up(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}

// Weights of two bytes are BF16; of one byte or less they meet FP8 activations.
k::Precision precision_of_weights(double bytes_per_weight) {
  return bytes_per_weight >= 2 ? k::Precision::bf16 : k::Precision::fp8;
}

}  // namespace

StepOperators::StepOperators(const StepSetting& setting)
    : model_(setting.model), tp_(setting.tensor_parallel) {
  V4CAP_CHECK(tp_ >= 1, "tensor_parallel " + std::to_string(tp_));
  const ModelSpec& m = model_;
  layers_ = {.all = m.layer_count(),
             .csa = m.count(LayerKind::csa),
             .hca = m.count(LayerKind::hca),
             .window = m.count(LayerKind::window),
             .dsa = m.count(LayerKind::dsa),
             .mla = m.count(LayerKind::mla),
             .gqa = m.count(LayerKind::gqa)};
  layers_.dense_mlp = m.moe.routed_experts == 0 ? layers_.all : m.moe.dense_layers;
  layers_.mixture = layers_.all - layers_.dense_mlp;
  limits_ = {.window = m.window.value, .top_k = m.indexer.top_k};
  heads_ = divide_up(m.heads, tp_);
  kv_heads_ = divide_up(m.kv_heads, tp_);
  output_groups_ = divide_up(m.output_groups, tp_);
  vocab_ = divide_up(m.vocab, tp_);
  dense_intermediate_ = divide_up(m.moe.dense_intermediate, tp_);
  entry_ = entry_on_rank(setting.entry, m, tp_);
  linear_precision_ = precision_of_weights(m.weights.linear_bytes);
  expert_precision_ = precision_of_weights(m.weights.expert_bytes);
  scores_precision_ = setting.indexer == IndexerFormat::fp4 ? k::Precision::fp4 : k::Precision::fp8;
}

OperatorList StepOperators::list(const StepPlan& plan) const {
  const PlanSums sums = sum_plan(plan, limits_);
  OperatorList out;
  Builder b{sums, out};
  b.add("embedding", OperatorPart::embedding, 1,
        k::embedding::work(
            {.tokens = sums.tokens, .hidden = model_.hidden, .streams = model_.residual_streams}));
  residual_in(b);
  if (layers_.csa + layers_.hca + layers_.window > 0) attention_v4(b);
  if (layers_.dsa + layers_.mla > 0) attention_mla(b);
  if (layers_.gqa > 0) attention_gqa(b);
  feed_forward(b);
  all_reduce(b);
  residual_out(b);
  if (sums.emitting_rows > 0) {
    if (model_.residual_streams > 1) {
      b.add("mhc_pre head", OperatorPart::hyper_connections, 1,
            k::mhc_pre::work({.tokens = sums.emitting_rows,
                              .hidden = model_.hidden,
                              .streams = model_.residual_streams,
                              .mixes = model_.residual_streams}));
    }
    b.add("head", OperatorPart::head, 1,
          k::head::work({.rows = sums.emitting_rows,
                         .hidden = model_.hidden,
                         .vocab = vocab_,
                         .bytes_per_weight = model_.weights.other_bytes}));
  }
  const auto copied = plan.copies.points_written + plan.copies.points_read;
  if (copied.value > 0) {
    k::Work w;  // every byte is read once and written once
    w.cache_read_bytes = k::real(copied.value);
    w.cache_write_bytes = k::real(copied.value);
    b.add("copy kept points", OperatorPart::copies, 1, w);
  }
  return out;
}

// Twice per layer: gather the residual streams into one input, normalise and quantise it.
void StepOperators::residual_in(Builder& b) const {
  const std::int64_t streams = model_.residual_streams;
  if (streams > 1) {
    b.add("mhc_pre", OperatorPart::hyper_connections, 2 * layers_.all,
          k::mhc_pre::work({.tokens = b.sums.tokens,
                            .hidden = model_.hidden,
                            .streams = streams,
                            .mixes = streams * (streams + 2)}));
  }
  b.add("rmsnorm_quant", OperatorPart::norms, 2 * layers_.all,
        k::rmsnorm_quant::work({.tokens = b.sums.tokens,
                                .hidden = model_.hidden,
                                .quantised = linear_precision_ == k::Precision::fp8,
                                .adds_residual = streams == 1}));
}

void StepOperators::residual_out(Builder& b) const {
  if (model_.residual_streams == 1) return;  // added by the next rmsnorm_quant
  b.add(
      "mhc_post", OperatorPart::hyper_connections, 2 * layers_.all,
      k::mhc_post::work(
          {.tokens = b.sums.tokens, .hidden = model_.hidden, .streams = model_.residual_streams}));
}

void StepOperators::feed_forward(Builder& b) const {
  const ModelSpec& m = model_;
  const std::int64_t tokens = b.sums.tokens;
  if (layers_.mixture > 0) {
    b.add("router", OperatorPart::router, layers_.mixture,
          k::router::work({.tokens = tokens,
                           .hidden = m.hidden,
                           .experts = m.moe.routed_experts,
                           .active = m.moe.active_experts,
                           .bytes_per_weight = m.weights.other_bytes}));
    b.add("experts", OperatorPart::experts, layers_.mixture,
          k::experts::work({.tokens = tokens,
                            .hidden = m.hidden,
                            .intermediate = m.moe.expert_intermediate,
                            .active = m.moe.active_experts,
                            .touched = k::experts::touched_experts(m.moe.routed_experts,
                                                                   m.moe.active_experts, tokens),
                            .ranks = tp_,
                            .bytes_per_weight = m.weights.expert_bytes,
                            .precision = expert_precision_}));
    if (m.moe.shared_experts > 0) {
      b.add("mlp shared expert", OperatorPart::experts, layers_.mixture,
            k::mlp::work({.tokens = tokens,
                          .hidden = m.hidden,
                          .intermediate = m.moe.shared_experts * m.moe.expert_intermediate,
                          .bytes_per_weight = m.weights.linear_bytes,
                          .precision = linear_precision_}));
    }
  }
  b.add("mlp dense", OperatorPart::experts, layers_.dense_mlp,
        k::mlp::work({.tokens = tokens,
                      .hidden = m.hidden,
                      .intermediate = dense_intermediate_,
                      .bytes_per_weight = m.weights.linear_bytes,
                      .precision = linear_precision_}));
}

void StepOperators::all_reduce(Builder& b) const {
  if (tp_ == 1) return;
  b.add(
      "all_reduce", OperatorPart::collectives, 2 * layers_.all, {},
      k::all_reduce::link_bytes({.tokens = b.sums.tokens, .hidden = model_.hidden, .ranks = tp_}));
}

}  // namespace v4cap
