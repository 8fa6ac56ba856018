#include "sim/model/parameters.h"

#include <algorithm>
#include <string>

#include "sim/core/error.h"

namespace v4cap {
namespace {

constexpr double kBytesMax = 9e18;  // models beyond it fit nowhere, and are still numbers
constexpr double kFp32Bytes =
    4;  // hyper-connection weights, whatever the rest of the checkpoint is

// What one layer adds to each part. Counts of weights follow the shapes in kernels/*/work.h.
class Counter {
 public:
  explicit Counter(const ModelSpec& model) : m_(model) {
    const WeightFormat& w = model.weights;
    describe(WeightPart::embedding, w.other_bytes, true);
    describe(WeightPart::head, w.other_bytes, true);
    describe(WeightPart::latent_projections, w.linear_bytes, false);
    describe(WeightPart::head_projections, w.linear_bytes, true);
    describe(WeightPart::compressors, w.other_bytes, false);
    describe(WeightPart::indexer, w.linear_bytes, false);
    describe(WeightPart::router, w.other_bytes, false);
    describe(WeightPart::routed_experts, w.expert_bytes, true);
    describe(WeightPart::shared_experts, w.linear_bytes, false);
    describe(WeightPart::dense_mlp, w.linear_bytes, true);
    describe(WeightPart::hyper_connections, kFp32Bytes, false);
  }

  void add(WeightPart part, std::int64_t total, std::int64_t active) {
    out_[part].total += static_cast<double>(total);
    out_[part].active += static_cast<double>(active);
  }
  void add(WeightPart part, std::int64_t weights) { add(part, weights, weights); }

  void add_layer(LayerKind kind, bool dense) {
    add_attention(kind);
    if (m_.residual_streams > 1) {
      const std::int64_t s = m_.residual_streams;
      add(WeightPart::hyper_connections, 2 * s * (s + 2) * s * m_.hidden);
    }
    if (dense) {
      add(WeightPart::dense_mlp, 3 * m_.hidden * m_.moe.dense_intermediate);
      return;
    }
    const std::int64_t expert = 3 * m_.hidden * m_.moe.expert_intermediate;
    add(WeightPart::router, m_.hidden * m_.moe.routed_experts);
    add(WeightPart::routed_experts, m_.moe.routed_experts * expert, m_.moe.active_experts * expert);
    add(WeightPart::shared_experts, m_.moe.shared_experts * expert);
  }

  const Parameters& result() const { return out_; }

 private:
  void describe(WeightPart part, double bytes_per_weight, bool divided) {
    out_[part].bytes_per_weight = bytes_per_weight;
    out_[part].divided = divided;
  }

  void add_attention(LayerKind kind) {
    switch (kind) {
      case LayerKind::csa:
      case LayerKind::hca:
      case LayerKind::window:
        return add_v4(kind);
      case LayerKind::dsa:
      case LayerKind::mla:
        return add_mla(kind);
      case LayerKind::gqa:
        return add_gqa();
    }
  }

  void add_v4(LayerKind kind) {
    const std::int64_t queries = m_.heads * m_.head_dim;
    add(WeightPart::latent_projections, m_.hidden * (m_.q_lora + m_.head_dim));
    add(WeightPart::head_projections, m_.q_lora * queries + queries * m_.output_lora +
                                          m_.output_groups * m_.output_lora * m_.hidden);
    if (kind == LayerKind::csa) {
      add(WeightPart::compressors, 4 * m_.hidden * m_.head_dim);
      add_indexer(4 * m_.hidden * m_.indexer.head_dim);
    } else if (kind == LayerKind::hca) {
      add(WeightPart::compressors, 2 * m_.hidden * m_.head_dim);
    }
  }

  void add_mla(LayerKind kind) {
    add(WeightPart::latent_projections, m_.hidden * (m_.q_lora + m_.kv_lora + m_.rope_dim));
    add(WeightPart::head_projections,
        m_.heads * (m_.q_lora * (m_.qk_nope + m_.rope_dim) +
                    m_.kv_lora * (m_.qk_nope + m_.v_head_dim) + m_.v_head_dim * m_.hidden));
    if (kind == LayerKind::dsa) add_indexer(m_.hidden * m_.indexer.head_dim);
  }

  void add_gqa() {
    const std::int64_t queries = m_.heads * m_.head_dim;
    add(WeightPart::head_projections,
        2 * m_.hidden * queries + 2 * m_.hidden * m_.kv_heads * m_.head_dim);
  }

  void add_indexer(std::int64_t key_weights) {
    add(WeightPart::indexer, m_.q_lora * m_.indexer.heads * m_.indexer.head_dim +
                                 m_.hidden * m_.indexer.heads + key_weights);
  }

  const ModelSpec& m_;
  Parameters out_;
};

// The indexer mixes formats: head weights and V4's key compressor are BF16, projections FP8. The
// average.
Parameters with_indexer_format(Parameters p, const ModelSpec& model) {
  const double csa = static_cast<double>(model.count(LayerKind::csa));
  const double layers = csa + static_cast<double>(model.count(LayerKind::dsa));
  const double head_weights = static_cast<double>(model.hidden * model.indexer.heads);
  const double csa_keys = static_cast<double>(4 * model.hidden * model.indexer.head_dim);
  PartParameters& indexer = p[WeightPart::indexer];
  if (indexer.total == 0) return p;
  const double other = (layers * head_weights + csa * csa_keys) / indexer.total;
  indexer.bytes_per_weight =
      other * model.weights.other_bytes + (1 - other) * model.weights.linear_bytes;
  return p;
}

bool is_dense(const ModelSpec& model, std::int64_t layer) {
  return model.moe.routed_experts == 0 || layer < model.moe.dense_layers;
}

}  // namespace

std::string_view name_of(WeightPart part) {
  constexpr std::array<std::string_view, kWeightParts> names = {
      "embedding",        "head",   "latent_projections", "head_projections", "compressors",
      "indexer",          "router", "routed_experts",     "shared_experts",   "dense_mlp",
      "hyper_connections"};
  return names[static_cast<std::size_t>(part)];
}

double Parameters::total() const {
  double sum = 0;
  for (const PartParameters& p : parts) sum += p.total;
  return sum;
}

double Parameters::active() const {
  double sum = 0;
  for (const PartParameters& p : parts) sum += p.active;
  return sum;
}

double Parameters::bytes() const {
  double sum = 0;
  for (const PartParameters& p : parts) sum += p.total * p.bytes_per_weight;
  return sum;
}

Parameters parameters_of(const ModelSpec& model) {
  Counter counter(model);
  counter.add(WeightPart::embedding, model.hidden * model.vocab, 0);
  counter.add(WeightPart::head, model.hidden * model.vocab);
  for (std::int64_t i = 0; i < model.layer_count(); ++i) {
    counter.add_layer(model.layers[static_cast<std::size_t>(i)], is_dense(model, i));
  }
  return with_indexer_format(counter.result(), model);
}

Parameters mtp_parameters_of(const ModelSpec& model) {
  Counter counter(model);
  for (std::int64_t i = 0; i < model.mtp_layers; ++i) {
    const bool windowed = model.window.value > 0;
    V4CAP_CHECK(windowed || !model.layers.empty(), "an MTP layer of a model without layers");
    counter.add_layer(windowed ? LayerKind::window : model.layers.back(),
                      model.moe.routed_experts == 0);
    counter.add(WeightPart::latent_projections, 2 * model.hidden * model.hidden);
  }
  return with_indexer_format(counter.result(), model);
}

double checkpoint_bytes(const ModelSpec& model) {
  return parameters_of(model).bytes() + mtp_parameters_of(model).bytes();
}

Bytes weight_bytes_of_rank(const ModelSpec& model, std::int64_t tensor_parallel) {
  V4CAP_CHECK(tensor_parallel >= 1, "tensor_parallel " + std::to_string(tensor_parallel));
  double sum = 0;
  for (const PartParameters& p : parameters_of(model).parts) {
    const double ranks = p.divided ? static_cast<double>(tensor_parallel) : 1;
    sum += p.total * p.bytes_per_weight / ranks;
  }
  return {static_cast<std::int64_t>(std::min(sum, kBytesMax))};
}

}  // namespace v4cap
