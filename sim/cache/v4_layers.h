// How many V4 layers of each kind keep state: what every engine layout starts from.
#pragma once

#include <cstdint>
#include <string>

#include "sim/core/error.h"
#include "sim/core/units.h"
#include "sim/model/model.h"

namespace v4cap {

struct V4Layers {
  std::int64_t csa = 0, hca = 0;
  std::int64_t all = 0;  // without MTP; every one keeps a window
  Tokens window;
};

// Throws InputError (without a place) for a model that is no V4: engines lay those out otherwise.
inline V4Layers v4_layers(const ModelSpec& model, const std::string& layout) {
  V4Layers out{model.count(LayerKind::csa), model.count(LayerKind::hca), model.layer_count(),
               model.window};
  if (out.csa == 0 || out.hca == 0 || out.window.value == 0) {
    throw InputError(Place{}, "expected layout ideal, " + layout +
                                  " lays out V4's caches only and " + model.name +
                                  " has no compressed layers");
  }
  return out;
}

// a / b rounded up; a >= 0, b > 0.
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

constexpr std::int64_t round_up_to(std::int64_t a, std::int64_t unit) {
  return ceil_div(a, unit) * unit;
}

}  // namespace v4cap
