// Policy `recompute=pyramid` in chunks. Layer l of L (from 0) runs the last 128 (L - l) positions
// before the hit's end, so position i of the span of 128 L is run by floor(i / 128) + 1 layers. A
// plan counts tokens in units of layer-tokens / L, of which the whole pyramid has 128 (L + 1) / 2.
#pragma once

#include <cstdint>

#include "kernels/formats/pages.h"

namespace v4cap::exec {

constexpr std::int64_t pyramid_span(std::int64_t layers) {
  return kernels::kWindow * layers;
}

constexpr std::int64_t pyramid_units(std::int64_t layers) {
  return kernels::kWindow * (layers + 1) / 2;
}

// Positions of the span that `units` plan tokens pay for, from its beginning; all of them for all.
constexpr std::int64_t pyramid_positions(std::int64_t layers, std::int64_t units) {
  std::int64_t left = units * layers;  // layer-tokens
  std::int64_t positions = 0;
  for (std::int64_t run_by = 1; run_by <= layers; ++run_by) {
    const std::int64_t of_tier = kernels::kWindow * run_by;
    if (left < of_tier) return positions + left / run_by;
    left -= of_tier;
    positions += kernels::kWindow;
  }
  return positions;
}

}  // namespace v4cap::exec
