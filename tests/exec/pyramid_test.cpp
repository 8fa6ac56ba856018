// How the tokens of a plan become positions of a pyramid.
#include "exec/step/pyramid.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace v4cap::exec {
namespace {

TEST_CASE("pyramid: all of its units are all of its positions, and none are none") {
  for (const std::int64_t layers : {1, 2, 4, 43, 61}) {
    CHECK(pyramid_positions(layers, 0) == 0);
    CHECK(pyramid_positions(layers, pyramid_units(layers)) == pyramid_span(layers));
  }
}

TEST_CASE("pyramid: positions never cost more layer-tokens than was paid, and one more would") {
  constexpr std::int64_t kLayers = 43;
  const auto cost = [](std::int64_t positions) {
    std::int64_t layer_tokens = 0;
    for (std::int64_t i = 0; i < positions; ++i) layer_tokens += i / 128 + 1;
    return layer_tokens;
  };
  for (std::int64_t units = 0; units < pyramid_units(kLayers); units += 7) {
    const std::int64_t positions = pyramid_positions(kLayers, units);
    CHECK(cost(positions) <= units * kLayers);
    CHECK(cost(positions + 1) > units * kLayers);
  }
}

}  // namespace
}  // namespace v4cap::exec
