#include "exec/layer/layer_shape.h"

namespace v4cap::exec {

LayerShape tiny_shape() {
  return {.hidden = 512,
          .heads = 64,
          .padded_heads = 64,
          .q_lora = 256,
          .output_groups = 8,
          .output_lora = 128,
          .experts = 32,
          .active = 6,
          .first_expert = 0,
          .local_experts = 32,
          .intermediate = 256,
          .top_k = 16,
          .vocab = 1024,
          .route_scale = 1.5f};
}

}  // namespace v4cap::exec
