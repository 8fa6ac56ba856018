// One GPU as a rank of a deployment: its share of a model's heads, output groups, experts and
// vocabulary.
#pragma once

#include <cstdint>
#include <string>

#include "exec/layer/layer_shape.h"
#include "sim/model/model.h"

namespace v4cap::exec {

struct Rank {
  ModelSpec model;
  std::int64_t tensor_parallel = 1;
  std::int64_t expert_parallel = 1;  // GPUs that whole experts are spread over
  std::int64_t index = 0;            // which of them: whose experts it has

  LayerShape shape;  // of every layer on this rank
  std::int64_t layers() const { return model.layer_count(); }
};

// Throws InputError (without a place) where the widths do not divide what they share out, or for a
// model that is not of V4's architecture. `index` is below expert_parallel.
Rank make_rank(const ModelSpec& model, std::int64_t tensor_parallel, std::int64_t expert_parallel,
               std::int64_t index = 0);

}  // namespace v4cap::exec
