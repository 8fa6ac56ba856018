#include "sim/cost/operators.h"

#include <algorithm>
#include <string>

#include "kernels/all_gather/work.h"
#include "kernels/all_reduce/work.h"
#include "kernels/embedding/work.h"
#include "kernels/expert_combine/work.h"
#include "kernels/expert_dispatch/work.h"
#include "kernels/experts/work.h"
#include "kernels/head/work.h"
#include "kernels/linear/work.h"
#include "kernels/mhc_post/work.h"
#include "kernels/mhc_pre/work.h"
#include "kernels/mlp/work.h"
#include "kernels/reduce_scatter/work.h"
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

RankTokens rank_tokens(const StepPlan& plan) {
  RankTokens out;
  for (const StepPiece& piece : plan.pieces) {
    out.tokens += piece.tokens.value;
    out.sequences += piece.kind == PieceKind::decode ? 1 : 0;
  }
  return out;
}

// One MTP layer: window only in V4, else like the model's last layer.
StepOperators::Layers StepOperators::draft_layer(const ModelSpec& model) {
  const LayerKind kind = model.window.value > 0 ? LayerKind::window : model.layers.back();
  const bool dense = model.moe.routed_experts == 0;
  const auto one_if = [](bool yes) { return std::int64_t{yes ? 1 : 0}; };
  return {.all = 1,
          .csa = one_if(kind == LayerKind::csa),
          .hca = one_if(kind == LayerKind::hca),
          .window = one_if(kind == LayerKind::window),
          .dsa = one_if(kind == LayerKind::dsa),
          .mla = one_if(kind == LayerKind::mla),
          .gqa = one_if(kind == LayerKind::gqa),
          .dense_mlp = one_if(dense),
          .mixture = one_if(!dense)};
}

StepOperators::StepOperators(const StepSetting& setting)
    : model_(setting.model),
      tp_(setting.tensor_parallel),
      ranks_(setting.data_parallel),
      gpus_(setting.gpus()),
      spread_experts_(setting.expert_parallel > 1),
      collectives_(setting.collectives),
      imbalance_(spread_experts_ ? setting.imbalance : ExpertImbalance{{}}) {
  V4CAP_CHECK(tp_ >= 1 && ranks_ >= 1,
              std::to_string(ranks_) + " ranks of " + std::to_string(tp_) + " GPUs");
  V4CAP_CHECK(!spread_experts_ || setting.expert_parallel == gpus_,
              "experts spread over " + std::to_string(setting.expert_parallel) + " of " +
                  std::to_string(gpus_) + " GPUs");
  V4CAP_CHECK(collectives_ || ranks_ == 1,
              "no collectives between " + std::to_string(ranks_) + " attention ranks");
  V4CAP_CHECK(!imbalance_.empty() && imbalance_.size() <= kMaxImbalanceBins,
              std::to_string(imbalance_.size()) + " bins of expert imbalance");
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
  if (setting.draft_steps > 0) {
    V4CAP_CHECK(m.mtp_layers > 0, m.name + " has no draft layer");
    draft_ = draft_layer(m);
    draft_steps_ = setting.draft_steps;
  }
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
  V4CAP_CHECK(ranks_ == 1, "one list was asked for of several attention ranks");
  return own_list(plan, true);
}

OperatorList StepOperators::rank_list(const StepPlan& plan) const {
  return own_list(plan, false);
}

OperatorList StepOperators::joint_list(std::span<const RankTokens> ranks) const {
  V4CAP_CHECK(static_cast<std::int64_t>(ranks.size()) == ranks_,
              std::to_string(ranks.size()) + " ranks in place of " + std::to_string(ranks_));
  JointTokens joint, drafts;
  for (const RankTokens& rank : ranks) {
    joint.tokens += rank.tokens;
    joint.most_tokens = std::max(joint.most_tokens, rank.tokens);
    drafts.tokens += rank.sequences;
    drafts.most_tokens = std::max(drafts.most_tokens, rank.sequences);
  }
  V4CAP_CHECK(joint.tokens > 0, "a step of idle ranks");
  const PlanSums nothing;
  OperatorList out;
  Builder b{nothing, out, layers_};
  routed_experts(b, joint);
  if (draft_steps_ > 0) {
    Builder first{nothing, out, draft_, 1, true};
    routed_experts(first, joint);
    Builder later{nothing, out, draft_, draft_steps_ - 1, true};
    routed_experts(later, drafts);
  }
  return out;
}

OperatorList StepOperators::most_of_decode(std::int64_t sequences, std::int64_t contexts) const {
  V4CAP_CHECK(draft_steps_ == 0, "a bound of decode steps with drafts");
  const PlanSums sums = most_of_decode_sums(sequences, contexts, limits_);
  return pass_list(sums, ranks_ == 1);
}

OperatorList StepOperators::pass_list(const PlanSums& sums, bool experts) const {
  OperatorList out;
  Builder b{sums, out, layers_};
  pass(b, experts ? JointTokens{sums.tokens, sums.tokens} : JointTokens{});
  return out;
}

// In the order of a layer. The first pass of the draft layer runs on all rows of the step, because later ones need its entries of them;
// each further pass on one row of every sequence that decodes.
OperatorList StepOperators::own_list(const StepPlan& plan, bool experts) const {
  const auto joint_of = [experts](const PlanSums& sums) {
    return experts ? JointTokens{sums.tokens, sums.tokens} : JointTokens{};
  };
  const PlanSums sums = sum_plan(plan, limits_);
  const JointTokens joint = joint_of(sums);
  OperatorList out = pass_list(sums, experts);
  Builder b{sums, out, layers_};
  add_copies(b, plan);
  if (draft_steps_ == 0) return out;
  Builder first{sums, out, draft_, 1, true};
  draft_pass(first, joint);
  const PlanSums later_sums = sum_drafts(plan, limits_);
  if (later_sums.tokens == 0) return out;
  Builder later{later_sums, out, draft_, draft_steps_ - 1, true};
  draft_pass(later, joint_of(later_sums));
  return out;
}

void StepOperators::add_copies(Builder& b, const StepPlan& plan) const {
  const auto copied = plan.copies.points_written + plan.copies.points_read;
  if (copied.value == 0) return;
  k::Work w;  // every byte is read once and written once
  w.cache_read_bytes = k::real(copied.value);
  w.cache_write_bytes = k::real(copied.value);
  b.add("copy kept points"_op, OperatorPart::copies, 1, w);
}

OperatorList StepOperators::copies(const StepPlan& plan) const {
  const PlanSums nothing;
  OperatorList out;
  Builder b{nothing, out, layers_};
  add_copies(b, plan);
  return out;
}

OperatorList StepOperators::first_draft_pass(const PlanSums& sums) const {
  OperatorList out;
  Builder first{sums, out, draft_, 1, true};
  draft_pass(first, ranks_ == 1 ? JointTokens{sums.tokens, sums.tokens} : JointTokens{});
  return out;
}

OperatorList StepOperators::later_draft_passes(const PlanSums& sums) const {
  OperatorList out;
  Builder later{sums, out, draft_, draft_steps_ - 1, true};
  draft_pass(later, ranks_ == 1 ? JointTokens{sums.tokens, sums.tokens} : JointTokens{});
  return out;
}

// Embedding, layers and head.
void StepOperators::pass(Builder& b, const JointTokens& joint) const {
  const PlanSums& sums = b.sums;
  b.add("embedding"_op, OperatorPart::embedding, 1,
        k::embedding::work(
            {.tokens = sums.tokens, .hidden = model_.hidden, .streams = model_.residual_streams}));
  residual_in(b);
  if (b.layers.csa + b.layers.hca + b.layers.window > 0) attention_v4(b);
  if (b.layers.dsa + b.layers.mla > 0) attention_mla(b);
  if (b.layers.gqa > 0) attention_gqa(b);
  feed_forward(b, joint);
  all_reduce(b);
  residual_out(b);
  head(b);
}

// The draft layer's input is a projection of the next token's embedding plus one of each residual
// stream, both hidden x hidden, repeated on every GPU.
void StepOperators::draft_pass(Builder& b, const JointTokens& joint) const {
  const auto linear = [&](OperatorName name, std::int64_t rows) {
    b.add(name, OperatorPart::attention_projections, 1,
          k::linear::work({.rows = rows,
                           .in = model_.hidden,
                           .out = model_.hidden,
                           .bytes_per_weight = model_.weights.linear_bytes,
                           .precision = linear_precision_}));
  };
  linear("linear embedding"_op, b.sums.tokens);
  linear("linear hidden"_op, b.sums.tokens * model_.residual_streams);
  pass(b, joint);
}

void StepOperators::head(Builder& b) const {
  if (b.sums.emitting_rows == 0) return;
  if (model_.residual_streams > 1) {
    b.add("mhc_pre head"_op, OperatorPart::hyper_connections, 1,
          k::mhc_pre::work({.tokens = b.sums.emitting_rows,
                            .hidden = model_.hidden,
                            .streams = model_.residual_streams,
                            .mixes = model_.residual_streams}));
  }
  b.add("head"_op, OperatorPart::head, 1,
        k::head::work({.rows = b.sums.emitting_rows,
                       .hidden = model_.hidden,
                       .vocab = vocab_,
                       .bytes_per_weight = model_.weights.other_bytes}));
}

// Twice per layer: gather the residual streams into one input, normalise and quantise it.
void StepOperators::residual_in(Builder& b) const {
  const std::int64_t streams = model_.residual_streams;
  if (streams > 1) {
    b.add("mhc_pre"_op, OperatorPart::hyper_connections, 2 * b.layers.all,
          k::mhc_pre::work({.tokens = b.sums.tokens,
                            .hidden = model_.hidden,
                            .streams = streams,
                            .mixes = streams * (streams + 2)}));
  }
  b.add("rmsnorm_quant"_op, OperatorPart::norms, 2 * b.layers.all,
        k::rmsnorm_quant::work({.tokens = b.sums.tokens,
                                .hidden = model_.hidden,
                                .quantised = linear_precision_ == k::Precision::fp8,
                                .adds_residual = streams == 1}));
}

void StepOperators::residual_out(Builder& b) const {
  if (model_.residual_streams == 1) return;  // added by the next rmsnorm_quant
  b.add(
      "mhc_post"_op, OperatorPart::hyper_connections, 2 * b.layers.all,
      k::mhc_post::work(
          {.tokens = b.sums.tokens, .hidden = model_.hidden, .streams = model_.residual_streams}));
}

void StepOperators::feed_forward(Builder& b, const JointTokens& joint) const {
  const ModelSpec& m = model_;
  const std::int64_t tokens = b.sums.tokens;
  b.add("router"_op, OperatorPart::router, b.layers.mixture,
        k::router::work({.tokens = tokens,
                         .hidden = m.hidden,
                         .experts = m.moe.routed_experts,
                         .active = m.moe.active_experts,
                         .bytes_per_weight = m.weights.other_bytes}));
  routed_experts(b, joint);
  if (m.moe.shared_experts > 0) {
    b.add("mlp shared expert"_op, OperatorPart::experts, b.layers.mixture,
          k::mlp::work({.tokens = tokens,
                        .hidden = m.hidden,
                        .intermediate = m.moe.shared_experts * m.moe.expert_intermediate,
                        .bytes_per_weight = m.weights.linear_bytes,
                        .precision = linear_precision_}));
  }
  b.add("mlp dense"_op, OperatorPart::experts, b.layers.dense_mlp,
        k::mlp::work({.tokens = tokens,
                      .hidden = m.hidden,
                      .intermediate = dense_intermediate_,
                      .bytes_per_weight = m.weights.linear_bytes,
                      .precision = linear_precision_}));
}

// The experts, and the way of tokens of several ranks to them and back. Within one rank every GPU
// has all tokens already, and all_reduce() adds up what each makes of them.
void StepOperators::routed_experts(Builder& b, const JointTokens& joint) const {
  if (b.layers.mixture == 0 || joint.tokens == 0) return;
  if (ranks_ > 1 && !spread_experts_) {
    b.add("all_gather"_op, OperatorPart::collectives, b.layers.mixture, {},
          k::all_gather::link_bytes(
              {.tokens = joint.tokens, .hidden = model_.hidden, .gpus = gpus_}));
  }
  for (const ImbalanceBin& bin : imbalance_) experts_of_bin(b, joint, bin);
  if (ranks_ > 1 && !spread_experts_) {
    b.add("reduce_scatter"_op, OperatorPart::collectives, b.layers.mixture, {},
          k::reduce_scatter::link_bytes(
              {.tokens = joint.tokens, .hidden = model_.hidden, .gpus = gpus_}));
  }
}

void StepOperators::experts_of_bin(Builder& b, const JointTokens& joint,
                                   const ImbalanceBin& bin) const {
  const MoeSpec& moe = model_.moe;
  const auto add = [&](OperatorName name, OperatorPart part, const k::Work& work,
                       double link_bytes) {
    b.add(name, part, b.layers.mixture, work, link_bytes, bin.share);
  };
  // The GPUs of an attention rank have the same tokens; each sends its part of them.
  const k::expert_dispatch::Shape moved{.tokens = joint.tokens,
                                        .most_tokens = divide_up(joint.most_tokens, tp_),
                                        .hidden = model_.hidden,
                                        .active = moe.active_experts,
                                        .gpus = gpus_,
                                        .imbalance = bin.factor};
  const bool moves = ranks_ > 1 && spread_experts_;
  if (moves) {
    add("expert_dispatch"_op, OperatorPart::collectives, {}, k::expert_dispatch::link_bytes(moved));
  }
  const double touched =
      spread_experts_
          ? k::real(gpus_) * k::experts::touched_on_hottest(moe.routed_experts, moe.active_experts,
                                                            joint.tokens, gpus_, bin.factor)
          : k::experts::touched_experts(moe.routed_experts, moe.active_experts, joint.tokens);
  add("experts"_op, OperatorPart::experts,
      k::experts::work({.tokens = joint.tokens,
                        .hidden = model_.hidden,
                        .intermediate = moe.expert_intermediate,
                        .active = moe.active_experts,
                        .touched = touched,
                        .ranks = gpus_,
                        .imbalance = bin.factor,
                        .bytes_per_weight = model_.weights.expert_bytes,
                        .precision = expert_precision_}),
      0);
  if (moves) {
    add("expert_combine"_op, OperatorPart::collectives, {}, k::expert_combine::link_bytes(moved));
  }
}

// Within an attention rank: after attention, and after the feed-forward unless what joins the ranks
// has done that sum. Several ranks that share experts start from tokens that the rank's GPUs divide
// among them and end with rows that they hand round: one all-reduce in all.
void StepOperators::all_reduce(Builder& b) const {
  if (tp_ == 1 || !collectives_) return;
  const std::int64_t sums_after_feed_forward = ranks_ > 1 ? b.layers.dense_mlp : b.layers.all;
  b.add(
      "all_reduce"_op, OperatorPart::collectives, b.layers.all + sums_after_feed_forward, {},
      k::all_reduce::link_bytes({.tokens = b.sums.tokens, .hidden = model_.hidden, .ranks = tp_}));
}

}  // namespace v4cap
