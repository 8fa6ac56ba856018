// The attention half of a layer, one function per family: V4 (CSA, HCA, window), MLA with or
// without the V3.2 indexer, GQA.
#include "kernels/attention_csa/work.h"
#include "kernels/attention_dsa/work.h"
#include "kernels/attention_gqa/work.h"
#include "kernels/attention_hca/work.h"
#include "kernels/attention_mla/work.h"
#include "kernels/attention_window/work.h"
#include "kernels/compressor_csa/work.h"
#include "kernels/compressor_hca/work.h"
#include "kernels/indexer_query/work.h"
#include "kernels/indexer_scores/work.h"
#include "kernels/linear/work.h"
#include "kernels/q_rope_kv_store/work.h"
#include "kernels/topk/work.h"
#include "sim/cost/operator_builder.h"
#include "sim/cost/operators.h"

namespace v4cap {
namespace {

namespace k = kernels;

// Sparse attention kernels run at least this many heads at once, as rows of a tensor-core product:
// fewer local heads are padded, and the work does not fall below it. Source: FlashMLA (sm90 and
// sm100 sparse decode and prefill), SGLang's padding of local heads.
constexpr std::int64_t kHeadsAtOnce = 64;

// The products of V4's core attention with padded heads; what it reads and writes stays.
k::Work with_padded_heads(k::Work work, std::int64_t heads) {
  const std::int64_t padded = (heads + kHeadsAtOnce - 1) / kHeadsAtOnce * kHeadsAtOnce;
  const double factor = k::real(padded) / k::real(heads);
  work.flops_bf16 *= factor;
  work.flops_fp8 *= factor;
  work.flops_fp4 *= factor;
  return work;
}

}  // namespace

void StepOperators::attention_v4(Builder& b) const {
  const ModelSpec& m = model_;
  const PlanSums& s = b.sums;
  const std::int64_t layers = b.layers.csa + b.layers.hca + b.layers.window;
  const auto linear = [&](std::int64_t groups, std::int64_t in, std::int64_t out) {
    return k::linear::work({.rows = s.tokens,
                            .groups = groups,
                            .in = in,
                            .out = out,
                            .bytes_per_weight = m.weights.linear_bytes,
                            .precision = linear_precision_});
  };
  const auto project = [&](OperatorName name, const k::Work& work) {
    b.add(name, OperatorPart::attention_projections, layers, work);
  };
  project("linear q_a kv"_op, linear(1, m.hidden, m.q_lora + m.head_dim));
  project("linear q_b"_op, linear(1, m.q_lora, heads_ * m.head_dim));
  project("q_rope_kv_store"_op, k::q_rope_kv_store::work({.tokens = s.tokens,
                                                          .heads = heads_,
                                                          .head_dim = m.head_dim,
                                                          .kv_dim = m.head_dim,
                                                          .entry_bytes = entry_.entry_bytes}));
  if (b.layers.csa > 0) {
    const auto compress = [&](std::int64_t head_dim, std::int64_t entry_bytes) {
      return k::compressor_csa::work({.tokens = s.tokens,
                                      .emitted = s.csa_emitted,
                                      .hidden = m.hidden,
                                      .head_dim = head_dim,
                                      .entry_bytes = entry_bytes,
                                      .bytes_per_weight = m.weights.other_bytes});
    };
    b.add("compressor_csa"_op, OperatorPart::compressors, b.layers.csa,
          compress(m.head_dim, entry_.entry_bytes));
    b.add("compressor_csa indexer"_op, OperatorPart::index_projection, b.layers.csa,
          compress(m.indexer.head_dim, entry_.indexer_bytes));
    indexer(b, s.csa_scores, s.csa_selected, b.layers.csa);
    b.add("attention_csa"_op, OperatorPart::attention_csa, b.layers.csa,
          with_padded_heads(k::attention_csa::work({.queries = s.tokens,
                                                    .heads = heads_,
                                                    .head_dim = m.head_dim,
                                                    .window_pairs = s.window.pairs,
                                                    .selected_pairs = s.csa_selected.pairs,
                                                    .window_entries = s.window.entries,
                                                    .selected_entries = s.csa_selected.entries,
                                                    .entry_bytes = entry_.entry_bytes}),
                            heads_));
  }
  if (b.layers.hca > 0) {
    b.add("compressor_hca"_op, OperatorPart::compressors, b.layers.hca,
          k::compressor_hca::work({.tokens = s.tokens,
                                   .emitted = s.hca_emitted,
                                   .hidden = m.hidden,
                                   .head_dim = m.head_dim,
                                   .entry_bytes = entry_.entry_bytes,
                                   .bytes_per_weight = m.weights.other_bytes}));
    b.add("attention_hca"_op, OperatorPart::attention_hca, b.layers.hca,
          with_padded_heads(k::attention_hca::work({.queries = s.tokens,
                                                    .heads = heads_,
                                                    .head_dim = m.head_dim,
                                                    .window_pairs = s.window.pairs,
                                                    .compressed_pairs = s.hca.pairs,
                                                    .window_entries = s.window.entries,
                                                    .compressed_entries = s.hca.entries,
                                                    .entry_bytes = entry_.entry_bytes}),
                            heads_));
  }
  b.add("attention_window"_op, OperatorPart::attention_window, b.layers.window,
        with_padded_heads(k::attention_window::work({.queries = s.tokens,
                                                     .heads = heads_,
                                                     .head_dim = m.head_dim,
                                                     .pairs = s.window.pairs,
                                                     .entries = s.window.entries,
                                                     .entry_bytes = entry_.entry_bytes}),
                          heads_));
  // Each group of heads has its own first output matrix. A rank holds whole heads, hence whole or
  // partial groups: the input channels of a group follow from the rank's heads.
  const std::int64_t group_in = heads_ * m.head_dim / output_groups_;
  project("linear o_a"_op, linear(output_groups_, group_in, m.output_lora));
  project("linear o_b"_op, linear(1, output_groups_ * m.output_lora, m.hidden));
}

void StepOperators::indexer(Builder& b, const KeyReads& scores, const KeyReads& selected,
                            std::int64_t layers) const {
  const ModelSpec& m = model_;
  b.add("indexer_query"_op, OperatorPart::index_projection, layers,
        k::indexer_query::work({.tokens = b.sums.tokens,
                                .hidden = m.hidden,
                                .q_lora = m.q_lora,
                                .heads = m.indexer.heads,
                                .head_dim = m.indexer.head_dim,
                                .key_bytes = entry_.indexer_bytes,
                                .bytes_per_weight = m.weights.linear_bytes,
                                .bytes_per_head_weight = m.weights.other_bytes}));
  b.add("indexer_scores"_op, OperatorPart::index_scores, layers,
        k::indexer_scores::work({.pairs = scores.pairs,
                                 .keys = scores.entries,
                                 .heads = m.indexer.heads,
                                 .head_dim = m.indexer.head_dim,
                                 .key_bytes = entry_.indexer_bytes,
                                 .precision = scores_precision_}));
  b.add("topk"_op, OperatorPart::index_scores, layers,
        k::topk::work({.pairs = scores.pairs, .selected = selected.pairs}));
}

// DSA layers run absorbed throughout. MLA layers run absorbed for decodes and expanded for chunks,
// whose latents, past ones included, are projected up again in every chunk.
void StepOperators::attention_mla(Builder& b) const {
  const ModelSpec& m = model_;
  const PlanSums& s = b.sums;
  const std::int64_t layers = b.layers.dsa + b.layers.mla;
  const std::int64_t latent = m.kv_lora + m.rope_dim;
  const std::int64_t key_dim = m.qk_nope + m.rope_dim;
  const auto linear = [&](OperatorName name, std::int64_t count, std::int64_t rows,
                          std::int64_t groups, std::int64_t in, std::int64_t out) {
    b.add(name, OperatorPart::attention_projections, count,
          k::linear::work({.rows = rows,
                           .groups = groups,
                           .in = in,
                           .out = out,
                           .bytes_per_weight = m.weights.linear_bytes,
                           .precision = linear_precision_}));
  };
  const std::int64_t chunk_tokens = s.tokens - s.decode_tokens;
  const KeyReads chunk{s.dense.pairs - s.dense_decode.pairs,
                       s.dense.entries - s.dense_decode.entries};
  const std::int64_t mla_decode = s.decode_tokens > 0 ? b.layers.mla : 0;
  const std::int64_t mla_chunk = chunk_tokens > 0 ? b.layers.mla : 0;

  linear("linear q_a kv_a"_op, layers, s.tokens, 1, m.hidden, m.q_lora + latent);
  linear("linear q_b"_op, layers, s.tokens, 1, m.q_lora, heads_ * key_dim);
  b.add("q_rope_kv_store"_op, OperatorPart::attention_projections, layers,
        k::q_rope_kv_store::work({.tokens = s.tokens,
                                  .heads = heads_,
                                  .head_dim = key_dim,
                                  .kv_dim = latent,
                                  .entry_bytes = entry_.entry_bytes}));
  if (b.layers.dsa > 0) {
    k::Work keys = k::linear::work({.rows = s.tokens,
                                    .in = m.hidden,
                                    .out = m.indexer.head_dim,
                                    .bytes_per_weight = m.weights.linear_bytes,
                                    .precision = linear_precision_});
    keys.cache_write_bytes = k::real(s.kv_written) * k::real(entry_.indexer_bytes);
    b.add("linear indexer key"_op, OperatorPart::index_projection, b.layers.dsa, keys);
    indexer(b, s.dense, s.dsa_selected, b.layers.dsa);
    linear("linear absorb k"_op, b.layers.dsa, s.tokens, heads_, m.qk_nope, m.kv_lora);
    b.add("attention_dsa"_op, OperatorPart::attention_dense, b.layers.dsa,
          k::attention_dsa::work({.queries = s.tokens,
                                  .heads = heads_,
                                  .key_dim = latent,
                                  .value_dim = m.kv_lora,
                                  .selected_pairs = s.dsa_selected.pairs,
                                  .selected_entries = s.dsa_selected.entries,
                                  .entry_bytes = entry_.entry_bytes}));
    linear("linear absorb v"_op, b.layers.dsa, s.tokens, heads_, m.kv_lora, m.v_head_dim);
  }
  linear("linear absorb k"_op, mla_decode, s.decode_tokens, heads_, m.qk_nope, m.kv_lora);
  b.add("attention_mla absorbed"_op, OperatorPart::attention_dense, mla_decode,
        k::attention_mla::work({.queries = s.decode_tokens,
                                .heads = heads_,
                                .key_dim = latent,
                                .value_dim = m.kv_lora,
                                .pairs = s.dense_decode.pairs,
                                .entries = s.dense_decode.entries,
                                .entry_bytes = entry_.entry_bytes}));
  linear("linear absorb v"_op, mla_decode, s.decode_tokens, heads_, m.kv_lora, m.v_head_dim);
  k::Work expand = k::linear::work({.rows = chunk.entries,
                                    .in = m.kv_lora,
                                    .out = heads_ * (m.qk_nope + m.v_head_dim),
                                    .bytes_per_weight = m.weights.linear_bytes,
                                    .precision = linear_precision_});
  expand.cache_read_bytes = k::real(chunk.entries) * k::real(entry_.entry_bytes);
  b.add("linear expand kv"_op, OperatorPart::attention_projections, mla_chunk, expand);
  b.add("attention_mla expanded"_op, OperatorPart::attention_dense, mla_chunk,
        k::attention_mla::work({.queries = chunk_tokens,
                                .heads = heads_,
                                .key_dim = key_dim,
                                .value_dim = m.v_head_dim,
                                .pairs = chunk.pairs,
                                .entries = chunk.entries,
                                .entry_bytes = 2 * heads_ * (key_dim + m.v_head_dim)}));
  linear("linear o"_op, layers, s.tokens, 1, heads_ * m.v_head_dim, m.hidden);
}

void StepOperators::attention_gqa(Builder& b) const {
  const ModelSpec& m = model_;
  const PlanSums& s = b.sums;
  const auto linear = [&](OperatorName name, std::int64_t in, std::int64_t out) {
    b.add(name, OperatorPart::attention_projections, b.layers.gqa,
          k::linear::work({.rows = s.tokens,
                           .in = in,
                           .out = out,
                           .bytes_per_weight = m.weights.linear_bytes,
                           .precision = linear_precision_}));
  };
  linear("linear qkv"_op, m.hidden, (heads_ + 2 * kv_heads_) * m.head_dim);
  b.add("q_rope_kv_store"_op, OperatorPart::attention_projections, b.layers.gqa,
        k::q_rope_kv_store::work({.tokens = s.tokens,
                                  .heads = heads_,
                                  .head_dim = m.head_dim,
                                  .kv_dim = 2 * kv_heads_ * m.head_dim,
                                  .entry_bytes = entry_.entry_bytes}));
  b.add("attention_gqa"_op, OperatorPart::attention_dense, b.layers.gqa,
        k::attention_gqa::work({.queries = s.tokens,
                                .heads = heads_,
                                .head_dim = m.head_dim,
                                .pairs = s.dense.pairs,
                                .entries = s.dense.entries,
                                .entry_bytes = entry_.entry_bytes}));
  linear("linear o"_op, heads_ * m.head_dim, m.hidden);
}

}  // namespace v4cap
