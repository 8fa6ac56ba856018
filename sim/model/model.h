// A model as data: what the checkpoint's config says, with nothing derived. Read from
// scenarios/models/*.yaml, where every figure names its source. Covers DeepSeek-V4 (CSA, HCA and
// window layers over one shared KV head), V3.2 (MLA with a lightning indexer), V3 (MLA) and plain
// GQA baselines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/units.h"

namespace v4cap {

enum class LayerKind : std::uint8_t {
  csa,     // compressed sparse attention: one entry per 4 tokens, top-k by an indexer, plus window
  hca,     // heavily compressed attention: one entry per 128 tokens, dense, plus window
  window,  // sliding window only
  dsa,     // V3.2: MLA entry per token, top-k by an indexer
  mla,     // V3: MLA entry per token, dense
  gqa,     // grouped-query attention, dense
};

struct IndexerSpec {
  std::int64_t heads = 0, head_dim = 0, top_k = 0;  // top_k counts entries; all 0 = no indexer
};

struct MoeSpec {
  std::int64_t routed_experts = 0, active_experts = 0, shared_experts = 0;  // 0 routed = dense MLP
  std::int64_t expert_intermediate = 0;
  std::int64_t dense_layers = 0;        // leading layers with a dense MLP
  std::int64_t dense_intermediate = 0;  // width of a dense MLP
  std::int64_t hash_layers = 0;         // leading layers whose experts a table chooses by token
};

// Bytes per parameter of the checkpoint, scales included.
struct WeightFormat {
  double expert_bytes = 0;  // routed experts
  double linear_bytes = 0;  // the other GEMM weights
  double other_bytes = 0;   // embedding, head, router, compressors, norms
};

// Figures published for the model, for tests to compare with what is derived. 0 = none published.
struct PublishedFigures {
  double parameters = 0, active_parameters = 0;
  double checkpoint_bytes = 0;
};

struct ModelSpec {
  std::string name;
  std::string measured_as;  // the model whose name profiles give to its shapes; usually its own
  std::int64_t hidden = 0, heads = 0, head_dim = 0, rope_dim = 0, vocab = 0;
  std::int64_t kv_heads = 0;                        // GQA
  std::int64_t q_lora = 0, kv_lora = 0;             // MLA, CSA, HCA
  std::int64_t qk_nope = 0, v_head_dim = 0;         // MLA
  std::int64_t output_groups = 0, output_lora = 0;  // V4
  std::int64_t residual_streams = 1;                // mHC; 1 = plain residual
  Tokens window;                                    // 0 = no layer keeps a window
  std::vector<LayerKind> layers;                    // decoder layers in order, without MTP
  std::int64_t mtp_layers = 0;
  // Mean tokens of a decode step that verifies 1, 2, ... drafts; empty = none published.
  std::vector<double> acceptance_lengths;
  IndexerSpec indexer;
  MoeSpec moe;
  WeightFormat weights;
  Tokens max_context;
  PublishedFigures published;

  std::int64_t layer_count() const { return static_cast<std::int64_t>(layers.size()); }
  std::int64_t count(LayerKind kind) const;
};

}  // namespace v4cap
