// The operators of one step of the engine, with what each costs: the list that a roofline, a
// measured profile and --explain share. Formulas are those of kernels/*/work.h; this file decides
// which operators run, how often, and with what shapes.
//
// One rank of a tensor-parallel group is described. Query heads, output projection, routed experts,
// dense MLPs and the vocabulary are divided by the width; latent projections, compressors, indexer,
// router, hyper-connections and the shared expert are repeated (sim/model/parameters.h), and so are
// the cache reads of the one KV head that all query heads share. Where a width does not divide a
// count, the fullest rank counts.
#pragma once

#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <string_view>

#include "kernels/work.h"
#include "sim/cost/plan_sums.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/model.h"

namespace v4cap {

// What people add up: see sim/cost/flops.h.
enum class OperatorPart : std::uint8_t {
  embedding,
  hyper_connections,
  norms,
  attention_projections,
  compressors,
  index_projection,
  index_scores,
  attention_csa,
  attention_hca,
  attention_window,
  attention_dense,  // MLA, DSA and GQA
  router,
  experts,  // routed, shared, dense MLP
  head,
  collectives,
  copies,
};

struct Operator {
  std::string_view
      name;  // the folder under kernels/, with what it works on where that is ambiguous
  OperatorPart part{};
  std::int64_t count = 0;  // launches in the step
  kernels::Work work;      // of one launch
  double link_bytes = 0;   // sent by each GPU in one launch
};

inline constexpr std::size_t kMaxOperators = 48;
using OperatorList = boost::container::static_vector<Operator, kMaxOperators>;

// A model as one deployment runs it.
struct StepSetting {
  ModelSpec model;
  std::int64_t tensor_parallel = 1;
  EntryFormat entry;  // of the whole model, as in the scenario: division of GQA heads happens here
  IndexerFormat indexer = IndexerFormat::fp8;  // FP4 keys make index scores FP4 products
};

class StepOperators {
 public:
  explicit StepOperators(const StepSetting& setting);

  // Operators of a step with something to do, in the order in which a layer runs them; equal
  // operators of all layers of a kind are one entry.
  OperatorList list(const StepPlan& plan) const;

  const ViewLimits& limits() const { return limits_; }

 private:
  struct Builder;
  // Layers by kind, and shapes on this rank.
  struct Layers {
    std::int64_t all = 0, csa = 0, hca = 0, window = 0, dsa = 0, mla = 0, gqa = 0;
    std::int64_t dense_mlp = 0, mixture = 0;
  };

  void attention_v4(Builder& b) const;
  void attention_mla(Builder& b) const;
  void attention_gqa(Builder& b) const;
  void indexer(Builder& b, const KeyReads& scores, const KeyReads& selected,
               std::int64_t layers) const;
  void feed_forward(Builder& b) const;
  void residual_in(Builder& b) const;
  void residual_out(Builder& b) const;
  void all_reduce(Builder& b) const;

  ModelSpec model_;
  Layers layers_;
  ViewLimits limits_;
  std::int64_t tp_ = 1;
  std::int64_t heads_ = 0, kv_heads_ = 0, output_groups_ = 0;  // of this rank
  std::int64_t vocab_ = 0, dense_intermediate_ = 0;            // of this rank
  EntryFormat entry_;                                          // of this rank
  kernels::Precision linear_precision_{}, expert_precision_{}, scores_precision_{};
};

}  // namespace v4cap
