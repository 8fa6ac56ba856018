// The sizes of a V4 layer as one rank runs it.
#pragma once

#include <cstdint>

namespace v4cap::exec {

struct LayerShape {
  int hidden = 0;
  int heads = 0;         // on this rank
  int padded_heads = 0;  // that attention runs with: 64 or 128
  int q_lora = 0;
  int output_groups = 0, output_lora = 0;  // groups on this rank; rank of each
  int experts = 0, active = 0;
  int first_expert = 0, local_experts = 0;
  int intermediate = 0;
  int top_k = 0;
  int vocab = 0;
  float route_scale = 1;
  // Ranks that add up their outputs have all computed the shared expert; one of them adds it.
  bool adds_shared = true;

  int group_in() const { return heads * 512 / output_groups; }
};

// A made-up model of the same architecture, small enough for references of whole layers.
LayerShape tiny_shape();

}  // namespace v4cap::exec
