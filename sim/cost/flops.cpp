#include "sim/cost/flops.h"

namespace v4cap {
namespace {

double& part_of(TokenFlops& f, OperatorPart part) {
  switch (part) {
    case OperatorPart::hyper_connections:
    case OperatorPart::router:
      return f.mhc_and_router;
    case OperatorPart::attention_projections:
      return f.attention_projections;
    case OperatorPart::compressors:
      return f.compressors;
    case OperatorPart::index_projection:
      return f.index_projection;
    case OperatorPart::index_scores:
      return f.index_scores;
    case OperatorPart::attention_csa:
      return f.attention_csa;
    case OperatorPart::attention_hca:
      return f.attention_hca;
    case OperatorPart::attention_window:
      return f.attention_window;
    case OperatorPart::attention_dense:
      return f.attention_dense;
    case OperatorPart::experts:
      return f.experts;
    case OperatorPart::head:
      return f.head;
    case OperatorPart::embedding:
    case OperatorPart::norms:
    case OperatorPart::collectives:
    case OperatorPart::copies:
      return f.other;
  }
  return f.other;
}

}  // namespace

double TokenFlops::total() const {
  return attention_projections + compressors + index_projection + index_scores + attention_csa +
         attention_hca + attention_window + attention_dense + experts + mhc_and_router + head +
         other;
}

double TokenFlops::fp8_equivalent(IndexerFormat indexer) const {
  const double core = attention_csa + attention_hca + attention_window + attention_dense;
  const double halved = indexer == IndexerFormat::fp4 ? 0.5 * index_scores : 0;
  return total() + core - halved;
}

TokenFlops flops_per_token(const ModelSpec& model, Tokens context) {
  StepSetting setting;
  setting.model = model;
  StepPlan plan;
  plan.pieces.push_back({.kind = PieceKind::decode,
                         .emits_token = true,
                         .past = context - Tokens{1},
                         .tokens = Tokens{1}});
  TokenFlops out;
  for (const Operator& op : StepOperators(setting).list(plan)) {
    part_of(out, op.part) += op.launches() * op.work.flops();
  }
  return out;
}

}  // namespace v4cap
