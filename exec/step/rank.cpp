#include "exec/step/rank.h"

#include <algorithm>

#include "kernels/formats/pages.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

int divided(std::int64_t count, std::int64_t by, const std::string& what) {
  if (by < 1 || count % by != 0) {
    throw InputError(Place{}, "expected a width that divides the model's " + std::to_string(count) +
                                  " " + what + ", got " + std::to_string(by));
  }
  return static_cast<int>(count / by);
}

}  // namespace

Rank make_rank(const ModelSpec& model, std::int64_t tensor_parallel, std::int64_t expert_parallel,
               std::int64_t index) {
  V4CAP_CHECK(index >= 0 && index < expert_parallel, "rank " + std::to_string(index));
  const bool v4 =
      model.head_dim == kernels::kHeadDim && model.rope_dim == kernels::kRopeDim &&
      model.window.value == kernels::kWindow && model.residual_streams == 4 &&
      model.moe.shared_experts == 1 && model.moe.dense_layers == 0 &&
      std::ranges::all_of(model.layers, [](LayerKind kind) {
        return kind == LayerKind::csa || kind == LayerKind::hca || kind == LayerKind::window;
      });
  if (!v4) {
    throw InputError(Place{}, "expected a model of DeepSeek-V4's architecture, got " + model.name);
  }
  if (expert_parallel == 1 && tensor_parallel > 1) {
    throw InputError(Place{},
                     "expected whole experts on each GPU (expert_parallel above 1), got "
                     "experts that are cut over " +
                         std::to_string(tensor_parallel));
  }
  Rank rank{model, tensor_parallel, expert_parallel, index, {}};
  LayerShape& s = rank.shape;
  s.hidden = static_cast<int>(model.hidden);
  s.heads = divided(model.heads, tensor_parallel, "heads");
  s.padded_heads = s.heads <= 64 ? 64 : 128;
  s.q_lora = static_cast<int>(model.q_lora);
  s.output_groups = divided(model.output_groups, tensor_parallel, "output groups");
  s.output_lora = static_cast<int>(model.output_lora);
  s.experts = static_cast<int>(model.moe.routed_experts);
  s.active = static_cast<int>(model.moe.active_experts);
  s.local_experts = divided(model.moe.routed_experts, expert_parallel, "experts");
  s.first_expert = static_cast<int>(index) * s.local_experts;
  s.adds_shared = index == 0;
  s.intermediate = static_cast<int>(model.moe.expert_intermediate);
  s.top_k = static_cast<int>(model.indexer.top_k);
  // The vocabulary is shared out in whole groups of 8 rows, the last rank's filled up.
  s.vocab = static_cast<int>((model.vocab + 8 * tensor_parallel - 1) / (8 * tensor_parallel) * 8);
  return rank;
}

}  // namespace v4cap::exec
