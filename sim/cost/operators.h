// The operators of one step of the engine, with what each costs: the list that a roofline, a
// measured profile and --explain share. Formulas are those of kernels/*/work.h; this file decides
// which operators run, how often, and with what shapes.
//
// One GPU of an attention rank is described. Query heads, output projection, dense MLPs and the
// vocabulary are divided by the rank's tensor-parallel width; latent projections, compressors,
// indexer, router, hyper-connections and the shared expert are repeated (sim/model/parameters.h),
// and so are the cache reads of the one KV head that all query heads share. Where a width does not
// divide a count, the fullest GPU counts.
//
// Attention ranks run in lockstep. What a rank does on its own tokens is its rank_list(); the
// routed experts, which take the tokens of all ranks together, and what moves tokens between ranks
// are the joint_list(). A step lasts as long as the slowest rank's list and the joint list.
#pragma once

#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/work.h"
#include "sim/cost/plan_sums.h"
#include "sim/model/cache_geometry.h"
#include "sim/model/expert_imbalance.h"
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
      name;  // the folder under kernels/, with what it works on where that is ambiguous; those of a
             // draft layer begin with "mtp "
  OperatorPart part{};
  std::int64_t count = 0;  // launches in the step
  kernels::Work work;      // of one launch
  double link_bytes = 0;   // sent by each GPU in one launch; of the busiest one where they differ
  // How often the step takes this course: below 1 where a histogram of expert imbalance has several
  // bins, each with operators of its own. The expected step counts `share` of their time.
  double share = 1;

  // What to multiply one launch with.
  double launches() const { return kernels::real(count) * share; }
};

inline constexpr std::size_t kMaxOperators = 160;
using OperatorList = boost::container::static_vector<Operator, kMaxOperators>;

// A model as one deployment runs it.
struct StepSetting {
  ModelSpec model;
  std::int64_t tensor_parallel = 1;  // GPUs of one attention rank
  EntryFormat entry;  // of the whole model, as in the scenario: division of GQA heads happens here
  IndexerFormat indexer = IndexerFormat::fp8;  // FP4 keys make index scores FP4 products
  std::int64_t data_parallel = 1;              // attention ranks
  // Whole experts are spread over so many GPUs, which are all; 1 = each is cut over all GPUs.
  std::int64_t expert_parallel = 1;
  ExpertImbalance imbalance{{}};  // counts with expert_parallel above 1
  std::int64_t draft_steps = 0;   // passes of the draft (MTP) layer in a step
  // False: one rank stands alone on its GPU, and nothing moves between GPUs.
  bool collectives = true;
  // A rebuild runs layer l of L over the last window x (L - l + 1) tokens only; its pieces count
  // layer-tokens / L (sim/cache/recompute_policy.cpp).
  bool pyramid_rebuild = false;

  std::int64_t gpus() const { return tensor_parallel * data_parallel; }
};

// Tokens of one attention rank in a step.
struct RankTokens {
  std::int64_t tokens = 0;     // new positions; 0 = the rank is idle
  std::int64_t sequences = 0;  // that decode, each with one row in a further pass of a draft layer
};
RankTokens rank_tokens(const StepPlan& plan);

class StepOperators {
 public:
  explicit StepOperators(const StepSetting& setting);

  // Operators of a step with something to do, in the order in which a layer runs them; equal
  // operators of all layers of a kind are one entry. Of a deployment with one attention rank:
  // its rank_list and joint_list together.
  OperatorList list(const StepPlan& plan) const;
  // What one attention rank does on its own tokens, collectives within the rank included. The plan
  // must not be empty: an idle rank does nothing.
  OperatorList rank_list(const StepPlan& plan) const;
  // Of a rank that decodes a token of each of so many sequences, without drafts, whose contexts (the
  // new tokens included) sum to at most `contexts`: no operator has more work than here.
  OperatorList most_of_decode(std::int64_t sequences, std::int64_t contexts) const;
  // What rank_list() is made of, or list() of a deployment with one rank, by sums of the plan: the
  // model's own pass, copies of kept points, the first pass of the draft layer, its later ones.
  OperatorList own_pass(const PlanSums& sums) const { return pass_list(sums, ranks_ == 1); }
  OperatorList copies(const StepPlan& plan) const;
  OperatorList first_draft_pass(const PlanSums& sums) const;
  // `sums`: of one row a sequence, as sum_drafts() has them.
  OperatorList later_draft_passes(const PlanSums& sums) const;
  // What all ranks do together; one entry for each rank, at least one with tokens.
  OperatorList joint_list(std::span<const RankTokens> ranks) const;

  std::int64_t ranks() const { return ranks_; }

  const ViewLimits& limits() const { return limits_; }

 private:
  struct Builder;
  // Tokens that meet at the experts: of all ranks, and of the rank that has most. 0 = the experts
  // are left out.
  struct JointTokens {
    std::int64_t tokens = 0, most_tokens = 0;
  };
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
  static Layers draft_layer(const ModelSpec& model);
  OperatorList own_list(const StepPlan& plan, bool experts) const;
  OperatorList pass_list(const PlanSums& sums, bool experts) const;
  void add_copies(Builder& b, const StepPlan& plan) const;
  void pass(Builder& b, const JointTokens& joint) const;
  void draft_pass(Builder& b, const JointTokens& joint) const;
  void feed_forward(Builder& b, const JointTokens& joint) const;
  void routed_experts(Builder& b, const JointTokens& joint) const;
  void experts_of_bin(Builder& b, const JointTokens& joint, const ImbalanceBin& bin) const;
  void head(Builder& b) const;
  void residual_in(Builder& b) const;
  void residual_out(Builder& b) const;
  void all_reduce(Builder& b) const;

  ModelSpec model_;
  Layers layers_, draft_;
  ViewLimits limits_;
  std::int64_t draft_steps_ = 0;
  std::int64_t tp_ = 1, ranks_ = 1, gpus_ = 1;
  bool spread_experts_ = false, collectives_ = true;
  ExpertImbalance imbalance_;  // one even bin unless experts are spread
  std::int64_t heads_ = 0, kv_heads_ = 0, output_groups_ = 0;  // of this rank
  std::int64_t vocab_ = 0, dense_intermediate_ = 0;            // of this rank
  EntryFormat entry_;                                          // of this rank
  kernels::Precision linear_precision_{}, expert_precision_{}, scores_precision_{};
};

}  // namespace v4cap
