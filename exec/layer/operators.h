// Every operator that a step is made of: the one list that executors follow.
#pragma once

#include "kernels/argmax/argmax.h"
#include "kernels/attention/attention.h"
#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/compressor_hca/compressor_hca.h"
#include "kernels/embedding/embedding.h"
#include "kernels/expert_permute/expert_permute.h"
#include "kernels/expert_sum/expert_sum.h"
#include "kernels/experts/experts.h"
#include "kernels/indexer_query/indexer_query.h"
#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"
#include "kernels/linear/linear.h"
#include "kernels/mhc_post/mhc_post.h"
#include "kernels/mhc_post_pre/mhc_post_pre.h"
#include "kernels/mhc_pre/mhc_pre.h"
#include "kernels/mtp_merge/mtp_merge.h"
#include "kernels/q_rope_kv_store/q_rope_kv_store.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"
#include "kernels/router/router.h"
#include "kernels/swiglu_quant/swiglu_quant.h"
#include "kernels/topk/topk.h"

namespace v4cap::exec {

template <class... Args>
struct OperatorList {};

using Operators = OperatorList<
    kernels::argmax::Args, kernels::attention::Args, kernels::compressor_csa::Args,
    kernels::compressor_hca::Args, kernels::embedding::Args, kernels::expert_permute::Args,
    kernels::expert_sum::Args, kernels::experts::GateUpArgs, kernels::experts::DownArgs,
    kernels::indexer_query::Args, kernels::indexer_scores::Args, kernels::inverse_rope_quant::Args,
    kernels::linear::Fp8Args, kernels::linear::Bf16Args, kernels::mhc_post::Args,
    kernels::mhc_post_pre::Args, kernels::mhc_pre::Args, kernels::mtp_merge::Args,
    kernels::q_rope_kv_store::Args, kernels::rmsnorm_quant::Args, kernels::router::Args,
    kernels::swiglu_quant::Args, kernels::topk::Args>;

// virtual void run(const Args&) for each of a list.
template <class List>
class OperatorInterface;
template <>
class OperatorInterface<OperatorList<>> {
 public:
  virtual ~OperatorInterface() = default;
  void run() {}  // for the using-declaration of the next
};
template <class First, class... Rest>
class OperatorInterface<OperatorList<First, Rest...>>
    : public OperatorInterface<OperatorList<Rest...>> {
 public:
  using OperatorInterface<OperatorList<Rest...>>::run;
  virtual void run(const First& args) = 0;
};

// Base with all of these carried out by the launch(args) of Self, which derives from this.
template <class Self, class Base, class List>
class Launching;
template <class Self, class Base>
class Launching<Self, Base, OperatorList<>> : public Base {};
template <class Self, class Base, class First, class... Rest>
class Launching<Self, Base, OperatorList<First, Rest...>>
    : public Launching<Self, Base, OperatorList<Rest...>> {
 public:
  using Launching<Self, Base, OperatorList<Rest...>>::run;
  void run(const First& args) override { static_cast<Self*>(this)->launch(args); }
};

}  // namespace v4cap::exec
