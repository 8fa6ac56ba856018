// A model with as many CSA and HCA layers as V4-Pro (61, window 128), for tests that need a
// CacheGeometry and not its bytes.
#pragma once

#include "sim/model/cache_geometry.h"
#include "sim/model/model.h"

namespace v4cap {

inline ModelSpec toy_model(std::size_t layers = 61, std::int64_t window = 128) {
  ModelSpec model;
  model.window = Tokens{window};
  for (std::size_t i = 0; i < layers; ++i) {
    model.layers.push_back(i % 2 == 0 ? LayerKind::hca : LayerKind::csa);
  }
  return model;
}

inline CacheGeometry toy_geometry(std::size_t layers = 61) {
  return CacheGeometry(toy_model(layers), EntryFormat{584, 132, 36'864, 4'096});
}

}  // namespace v4cap
