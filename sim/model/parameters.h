// Parameters of a model, derived from its shapes: what the checkpoint holds, what one token uses,
// and what one GPU of a tensor-parallel group must load.
//
// Norm weights, biases, sinks, position tables and V4's token-to-expert tables are left out:
// together under 0.01 % of any model here.
//
// Tensor parallelism as serving engines deploy V4 (and as the KV bytes assume): query heads, output
// projection, routed experts, dense MLPs, embedding and head are divided; what all heads share is
// repeated: latent projections, compressors, indexer, router, hyper-connections, shared expert.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "sim/core/units.h"
#include "sim/model/model.h"

namespace v4cap {

enum class WeightPart : std::uint8_t {
  embedding,
  head,
  latent_projections,  // Wq_a and Wkv (V4), Wq_a and Wkv_a (MLA)
  head_projections,    // Wq_b, output projections, MLA's up-projections, all of GQA
  compressors,         // of the main entries
  indexer,             // queries, head weights, key projection or key compressor
  router,
  routed_experts,
  shared_experts,
  dense_mlp,
  hyper_connections,
};

inline constexpr std::size_t kWeightParts = 11;

std::string_view name_of(WeightPart part);

struct PartParameters {
  double total = 0;
  double active = 0;            // used by one token; of the embedding nothing (one row)
  double bytes_per_weight = 0;  // as in the checkpoint, scales included
  bool divided = false;         // over the GPUs of a tensor-parallel group
};

struct Parameters {
  std::array<PartParameters, kWeightParts> parts;

  PartParameters& operator[](WeightPart p) { return parts[static_cast<std::size_t>(p)]; }
  const PartParameters& operator[](WeightPart p) const {
    return parts[static_cast<std::size_t>(p)];
  }
  double total() const;
  double active() const;
  double bytes() const;
};

// The decoder layers, embedding and head: what published parameter counts cover.
Parameters parameters_of(const ModelSpec& model);

// The multi-token-prediction layers: a decoder layer and two d x d projections each.
Parameters mtp_parameters_of(const ModelSpec& model);

// Bytes of the checkpoint, MTP layers included.
double checkpoint_bytes(const ModelSpec& model);

// Bytes that one GPU of a group of `tensor_parallel` loads, without MTP layers, in checkpoint
// formats. Divided parts count 1/tensor_parallel.
Bytes weight_bytes_of_rank(const ModelSpec& model, std::int64_t tensor_parallel);

}  // namespace v4cap
