#include "exec/layer/layer.h"

#include <algorithm>

#include "exec/layer/select_entries.h"
#include "kernels/rope_table.h"

namespace v4cap::exec {

using kernels::Bf16;
using kernels::kHeadDim;
using kernels::kIndexDim;
using kernels::kIndexHeads;

RopeTables rope_tables(Executor& executor, std::int64_t positions) {
  return {executor.array(kernels::rope_table(true, positions)),
          executor.array(kernels::rope_table(false, positions))};
}

LayerRunner::Quantised LayerRunner::quantised(int rows, int width) {
  const std::int64_t stride = kernels::scale_stride_for(rows);
  Quantised q{executor_.array<std::uint8_t>(std::int64_t{rows} * width),
              executor_.array<float>(width / kernels::kGemmScaleBlock * stride),
              {}};
  q.rows = {q.codes.data(), q.scales.data(), stride};
  return q;
}

LayerRunner::Quantised LayerRunner::quantise(const Bf16* x, int rows, int width,
                                             std::int64_t stride) {
  Quantised q = quantised(rows, width);
  kernels::rmsnorm_quant::Args args;
  args.rows = rows;
  args.width = width;
  args.x = x;
  args.x_stride = stride;
  args.quantised = q.rows;
  executor_.run(args);
  return q;
}

LayerRunner::Quantised LayerRunner::norm_quantise(const Bf16* x, int rows, int width,
                                                  std::int64_t stride, Buffer<float>& weight,
                                                  Bf16* normed) {
  Quantised q = quantised(rows, width);
  kernels::rmsnorm_quant::Args args;
  args.rows = rows;
  args.width = width;
  args.x = x;
  args.x_stride = stride;
  args.weight = weight.at(side_);
  args.normed = normed;
  args.quantised = q.rows;
  executor_.run(args);
  return q;
}

Array<Bf16> LayerRunner::project(const Quantised& x, int rows, Fp8Matrix& weights,
                                 std::int64_t y_stride) {
  const std::int64_t out = std::max(std::int64_t{weights.groups} * weights.out, y_stride);
  auto y = executor_.array<Bf16>(rows * out);
  executor_.run(kernels::linear::Fp8Args{.rows = rows,
                                         .groups = weights.groups,
                                         .in = weights.in,
                                         .out = weights.out,
                                         .x = x.rows,
                                         .w = weights.at(side_),
                                         .y = y.data(),
                                         .y_stride = out,
                                         .output = kernels::linear::Output::bf16});
  return y;
}

Array<float> LayerRunner::project(const Bf16* x, int rows, int in, int out, Buffer<Bf16>& weights) {
  auto y = executor_.array<float>(std::int64_t{rows} * out);
  executor_.run(kernels::linear::Bf16Args{.rows = rows,
                                          .in = in,
                                          .out = out,
                                          .x = x,
                                          .x_stride = in,
                                          .w = weights.at(side_),
                                          .y = y.data(),
                                          .y_stride = out,
                                          .output = kernels::linear::Output::f32});
  return y;
}

kernels::mhc_pre::Args LayerRunner::mhc_args(MhcWeights& weights, int tokens, const Bf16* x,
                                             Bf16* y, float* post, float* comb) {
  kernels::mhc_pre::Args args;
  args.tokens = tokens;
  args.hidden = shape_.hidden;
  args.mixes = static_cast<int>(weights.base.size());
  args.x = x;
  args.fn = weights.fn.at(side_);
  args.scale = weights.scale.at(side_);
  args.base = weights.base.at(side_);
  args.y = y;
  args.post = post;
  args.comb = comb;
  return args;
}

SublayerOutputs LayerRunner::run(LayerWeights& weights, LayerState& state, const Step& step,
                                 Bf16* x) {
  const int tokens = step.batch.tokens;
  const std::int64_t wide = std::int64_t{tokens} * shape_.hidden;
  auto y = executor_.array<Bf16>(wide);
  auto post = executor_.array<float>(std::int64_t{tokens} * 4);
  auto comb = executor_.array<float>(std::int64_t{tokens} * 16);
  auto next_post = executor_.array<float>(std::int64_t{tokens} * 4);
  auto next_comb = executor_.array<float>(std::int64_t{tokens} * 16);

  executor_.run(mhc_args(weights.attention_mhc, tokens, x, y.data(), post.data(), comb.data()));
  SublayerOutputs outputs;
  outputs.attention = attention(weights, state, step, y.data());
  executor_.sum_over_ranks(outputs.attention.data(), wide);
  executor_.run(kernels::mhc_post_pre::Args{
      .post = {.tokens = tokens,
               .hidden = shape_.hidden,
               .x = x,
               .y = outputs.attention.data(),
               .post = post.data(),
               .comb = comb.data(),
               .out = x},
      .pre = mhc_args(weights.ffn_mhc, tokens, x, y.data(), next_post.data(), next_comb.data())});
  outputs.ffn = experts(weights, step, y.data());
  executor_.sum_over_ranks(outputs.ffn.data(), wide);
  executor_.run(kernels::mhc_post::Args{.tokens = tokens,
                                        .hidden = shape_.hidden,
                                        .x = x,
                                        .y = outputs.ffn.data(),
                                        .post = next_post.data(),
                                        .comb = next_comb.data(),
                                        .out = x});
  return outputs;
}

Array<Bf16> LayerRunner::attention(LayerWeights& weights, LayerState& state, const Step& step,
                                   const Bf16* x) {
  const int tokens = step.batch.tokens;
  const int latent_width = shape_.q_lora + kHeadDim;
  const bool compressed = weights.kind != LayerKind::window;
  const float* rope = compressed ? rope_.compressed.data() : rope_.plain.data();

  auto normed = executor_.array<Bf16>(std::int64_t{tokens} * shape_.hidden);
  const Quantised input =
      norm_quantise(x, tokens, shape_.hidden, shape_.hidden, weights.attention_norm, normed.data());
  const Array<Bf16> latent = project(input, tokens, weights.wqa_wkv);
  const Quantised latent_query =
      norm_quantise(latent.data(), tokens, shape_.q_lora, latent_width, weights.q_norm, nullptr);
  const std::int64_t q_stride = std::int64_t{shape_.padded_heads} * kHeadDim;
  const Array<Bf16> q = project(latent_query, tokens, weights.wqb, q_stride);
  kernels::q_rope_kv_store::Args store;
  store.batch = step.batch;
  store.heads = shape_.heads;
  store.q = q.data();
  store.q_stride = q_stride;
  store.kv = latent.data() + shape_.q_lora;
  store.kv_stride = latent_width;
  store.kv_weight = weights.kv_norm.at(side_);
  store.rope = rope;
  store.window = state.window;
  store.window_pages = state.window_pages;
  executor_.run(store);

  kernels::attention::Args core;
  Array<std::int32_t> selected;
  if (weights.kind == LayerKind::csa) {
    const Array<float> ug =
        project(normed.data(), tokens, shape_.hidden, kCsaColumns, weights.compress);
    if (state.before_compress) state.before_compress(ug.data());
    kernels::compressor_csa::Args compress;
    compress.batch = step.batch;
    compress.head_dim = kHeadDim;
    compress.ug = ug.data();
    compress.ug_stride = kCsaColumns;
    compress.ape = weights.ape.at(side_);
    compress.state = state.compressor;
    compress.state_slot = state.slots;
    compress.norm_weight = weights.compressor_norm.at(side_);
    compress.rope = rope;
    compress.entries = state.entries;
    compress.pages = state.written_pages;
    executor_.run(compress);
    compress.head_dim = kIndexDim;
    compress.ug = ug.data() + kCsaKeyColumn;
    compress.ape = weights.key_ape.at(side_);
    compress.state = state.key_compressor;
    compress.norm_weight = weights.key_compressor_norm.at(side_);
    compress.entries = {};
    compress.keys = state.keys;
    executor_.run(compress);
    selected = select(weights, state, step, latent_query, ug);
    core.kind = kernels::attention::Kind::csa;
    core.compress_ratio = 4;
    core.selected = selected.data();
    core.top_k = shape_.top_k;
  } else if (weights.kind == LayerKind::hca) {
    const Array<float> ug =
        project(normed.data(), tokens, shape_.hidden, 2 * kHeadDim, weights.compress);
    kernels::compressor_hca::Args compress;
    compress.batch = step.batch;
    compress.ug = ug.data();
    compress.ug_stride = 2 * kHeadDim;
    compress.ape = weights.ape.at(side_);
    compress.form = state.hca_form;
    compress.state = state.compressor;
    compress.state_slot = state.slots;
    compress.norm_weight = weights.compressor_norm.at(side_);
    compress.rope = rope;
    compress.entries = state.entries;
    compress.pages = state.written_pages;
    executor_.run(compress);
    core.kind = kernels::attention::Kind::hca;
    core.compress_ratio = 128;
  }

  auto o = executor_.array<Bf16>(tokens * q_stride);
  core.batch = step.batch;
  core.heads = shape_.padded_heads;
  core.q = q.data();
  core.q_stride = q_stride;
  core.window = state.window;
  core.window_pages = state.window_pages;
  core.extra = state.entries;
  core.extra_pages = state.entry_pages;
  core.sink = weights.sink.at(side_);
  core.out = o.data();
  executor_.run(core);

  const Quantised rotated = quantised(tokens, shape_.heads * kHeadDim);
  kernels::inverse_rope_quant::Args inverse;
  inverse.batch = step.batch;
  inverse.heads = shape_.heads;
  inverse.o = o.data();
  inverse.o_stride = q_stride;
  inverse.rope = rope;
  inverse.quantised = rotated.rows;
  executor_.run(inverse);
  const Array<Bf16> grouped = project(rotated, tokens, weights.woa);
  const int lora = shape_.output_groups * shape_.output_lora;
  return project(quantise(grouped.data(), tokens, lora, lora), tokens, weights.wob);
}

Array<std::int32_t> LayerRunner::select(LayerWeights& weights, LayerState& state, const Step& step,
                                        const Quantised& latent, const Array<float>& ug) {
  const int tokens = step.batch.tokens;
  const std::int64_t heads = std::int64_t{tokens} * kIndexHeads;
  const bool fp4 = state.keys.format == kernels::KeyFormat::fp4;
  const Array<Bf16> q = project(latent, tokens, weights.indexer_wqb);
  auto codes = executor_.array<std::uint8_t>(heads * state.keys.code_bytes());
  auto scales = executor_.array<std::uint8_t>(fp4 ? heads * 4 : 0);
  auto head_weights = executor_.array<float>(heads);
  kernels::indexer_query::Args query;
  query.batch = step.batch;
  query.q = q.data();
  query.w = ug.data() + kCsaHeadWeightColumn;
  query.w_stride = kCsaColumns;
  query.rope = rope_.compressed.data();
  query.format = state.keys.format;
  query.codes = codes.data();
  query.scales = fp4 ? scales.data() : nullptr;
  query.weights = head_weights.data();
  executor_.run(query);

  kernels::indexer_scores::Args score;
  score.batch = step.batch;
  score.q_codes = codes.data();
  score.q_scales = query.scales;
  score.weights = head_weights.data();
  score.keys = state.keys;
  score.pages = state.entry_pages;
  return select_entries(executor_, score, step.csa_visible, step.csa_visible_max, shape_.top_k);
}

Array<Bf16> LayerRunner::experts(LayerWeights& weights, const Step& step, const Bf16* x) {
  const int tokens = step.batch.tokens;
  const int active = shape_.active;
  const std::int64_t pairs = std::int64_t{tokens} * active;
  auto normed = executor_.array<Bf16>(std::int64_t{tokens} * shape_.hidden);
  const Quantised input =
      norm_quantise(x, tokens, shape_.hidden, shape_.hidden, weights.ffn_norm, normed.data());

  auto chosen = executor_.array<std::int32_t>(pairs);
  auto route_weights = executor_.array<float>(pairs);
  kernels::router::Args route;
  route.tokens = tokens;
  route.hidden = shape_.hidden;
  route.experts = shape_.experts;
  route.active = active;
  route.x = normed.data();
  route.gate = weights.gate.at(side_);
  if (weights.hash_routed) {
    route.table = weights.expert_table.at(side_);
    route.token_ids = step.token_ids;
  } else {
    route.bias = weights.gate_bias.at(side_);
  }
  route.route_scale = shape_.route_scale;
  route.chosen = chosen.data();
  route.weights = route_weights.data();
  executor_.run(route);

  auto offsets = executor_.array<std::int32_t>(shape_.local_experts + 1);
  auto row_token = executor_.array<std::int32_t>(pairs);
  auto row_weight = executor_.array<float>(pairs);
  auto token_row = executor_.array<std::int32_t>(pairs);
  executor_.run(kernels::expert_permute::Args{.tokens = tokens,
                                              .active = active,
                                              .first_expert = shape_.first_expert,
                                              .local_experts = shape_.local_experts,
                                              .chosen = chosen.data(),
                                              .weights = route_weights.data(),
                                              .offsets = offsets.data(),
                                              .row_token = row_token.data(),
                                              .row_weight = row_weight.data(),
                                              .token_row = token_row.data()});
  const int max_rows = static_cast<int>(pairs);
  const Quantised activated = quantised(max_rows, shape_.intermediate);
  kernels::experts::GateUpArgs gate_up;
  gate_up.experts = shape_.local_experts;
  gate_up.hidden = shape_.hidden;
  gate_up.intermediate = shape_.intermediate;
  gate_up.max_rows = max_rows;
  gate_up.tokens = tokens;
  gate_up.x = input.rows;
  gate_up.w13 = weights.w13.at(side_);
  gate_up.offsets = offsets.data();
  gate_up.row_token = row_token.data();
  gate_up.row_weight = row_weight.data();
  gate_up.a = activated.rows;
  executor_.run(gate_up);
  auto rows = executor_.array<Bf16>(pairs * shape_.hidden);
  kernels::experts::DownArgs down;
  down.experts = shape_.local_experts;
  down.hidden = shape_.hidden;
  down.intermediate = shape_.intermediate;
  down.max_rows = max_rows;
  down.a = activated.rows;
  down.w2 = weights.w2.at(side_);
  down.offsets = offsets.data();
  down.y = rows.data();
  executor_.run(down);

  const Array<Bf16> shared_gate_up = project(input, tokens, weights.shared_w13);
  const Quantised shared_activated = quantised(tokens, shape_.intermediate);
  kernels::swiglu_quant::Args swiglu;
  swiglu.rows = tokens;
  swiglu.intermediate = shape_.intermediate;
  swiglu.gate_up = shared_gate_up.data();
  swiglu.quantised = shared_activated.rows;
  executor_.run(swiglu);
  const Array<Bf16> shared = project(shared_activated, tokens, weights.shared_w2);

  auto y = executor_.array<Bf16>(std::int64_t{tokens} * shape_.hidden);
  executor_.run(kernels::expert_sum::Args{.tokens = tokens,
                                          .active = active,
                                          .hidden = shape_.hidden,
                                          .rows = rows.data(),
                                          .token_row = token_row.data(),
                                          .shared = shape_.adds_shared ? shared.data() : nullptr,
                                          .y = y.data()});
  return y;
}

Array<Bf16> LayerRunner::embed(ModelEnds& ends, const Step& step) {
  auto x = executor_.array<Bf16>(std::int64_t{step.batch.tokens} * 4 * shape_.hidden);
  executor_.run(kernels::embedding::Args{.tokens = step.batch.tokens,
                                         .hidden = shape_.hidden,
                                         .streams = 4,
                                         .token_ids = step.token_ids,
                                         .table = ends.embedding.at(side_),
                                         .x = x.data()});
  return x;
}

LayerRunner::HeadOutputs LayerRunner::head(ModelEnds& ends, const Step& step, const Bf16* x,
                                           bool mtp) {
  const int tokens = step.batch.tokens;
  auto y = executor_.array<Bf16>(std::int64_t{tokens} * shape_.hidden);
  auto normed = executor_.array<Bf16>(std::int64_t{tokens} * shape_.hidden);
  executor_.run(
      mhc_args(mtp ? ends.mtp_head_mhc : ends.head_mhc, tokens, x, y.data(), nullptr, nullptr));
  kernels::rmsnorm_quant::Args norm;
  norm.rows = tokens;
  norm.width = shape_.hidden;
  norm.x = y.data();
  norm.x_stride = shape_.hidden;
  norm.weight = (mtp ? ends.mtp_final_norm : ends.final_norm).at(side_);
  norm.normed = normed.data();
  executor_.run(norm);
  HeadOutputs outputs;
  outputs.logits = project(normed.data(), tokens, shape_.hidden, shape_.vocab, ends.head);
  outputs.chosen = executor_.array<std::int32_t>(tokens);
  executor_.run(kernels::argmax::Args{.rows = tokens,
                                      .width = shape_.vocab,
                                      .logits = outputs.logits.data(),
                                      .stride = shape_.vocab,
                                      .index = outputs.chosen.data()});
  return outputs;
}

Array<Bf16> LayerRunner::mtp_input(ModelEnds& ends, const Step& step, const Bf16* x) {
  const int tokens = step.batch.tokens;
  const int d = shape_.hidden;
  auto embedded = executor_.array<Bf16>(std::int64_t{tokens} * d);
  executor_.run(kernels::embedding::Args{.tokens = tokens,
                                         .hidden = d,
                                         .streams = 1,
                                         .token_ids = step.token_ids,
                                         .table = ends.embedding.at(side_),
                                         .x = embedded.data()});
  const Array<Bf16> e =
      project(norm_quantise(embedded.data(), tokens, d, d, ends.mtp_embed_norm, nullptr), tokens,
              ends.mtp_embed);
  const Array<Bf16> h = project(norm_quantise(x, 4 * tokens, d, d, ends.mtp_hidden_norm, nullptr),
                                4 * tokens, ends.mtp_hidden);
  auto merged = executor_.array<Bf16>(std::int64_t{tokens} * 4 * d);
  executor_.run(kernels::mtp_merge::Args{.tokens = tokens,
                                         .hidden = d,
                                         .streams = 4,
                                         .e = e.data(),
                                         .h = h.data(),
                                         .x = merged.data()});
  return merged;
}

}  // namespace v4cap::exec
