// Sizes of batches that v4exec runs: others are filled up to the next.
#pragma once

#include <vector>

#include "sim/cost/host_cost.h"

namespace v4cap::exec {

// Sequences of a captured decode: every number to 8, then steps that grow with the size.
inline std::vector<GraphSizes> captured_sizes() {
  return {{1, 8, 1}, {12, 32, 4}, {40, 64, 8}, {80, 128, 16}, {160, 512, 32}};
}

// Tokens of a prefill. A library looks for the best kernel of every new shape, which takes it some
// milliseconds: with these all shapes are known before a replay begins.
inline std::vector<GraphSizes> eager_sizes() {
  return {{16, 64, 16}, {128, 1024, 64}, {1152, 32768, 128}};
}

}  // namespace v4cap::exec
