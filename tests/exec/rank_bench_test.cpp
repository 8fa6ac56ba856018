// How the layers of a step are made from layers of one kind.
#include "exec/calibrate/rank_bench.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "sim/config/model_file.h"

namespace v4cap::exec::calibrate {
namespace {

TEST_CASE("layers of a step: kinds sum up to the whole, and one asked for again is timed again") {
  const ModelSpec flash =
      load_model(std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/deepseek-v4-flash.yaml").spec;
  int timed = 0;
  // 10 us a layer of one kind, 12 where all are together; later times are twice as long.
  const auto time = [&](const std::vector<int>& layers) {
    const bool whole = layers.size() == flash.layers.size();
    const double us =
        (whole ? 12.0 : 10.0) * static_cast<double>(layers.size()) * (timed++ < 5 ? 1 : 2);
    return Measurement{us, us, us, 5, 1980};
  };
  LayersOfStep layers;
  const std::vector<std::string> kinds = layer_kinds(flash);
  REQUIRE(kinds == std::vector<std::string>{"csa", "csa_hash", "hca", "window_hash"});
  double sum_us = 0;
  for (const std::string& kind : kinds) {
    const Measurement m = layers.at(flash, {8, 100}, kind, 4, time);
    sum_us += m.median_us * static_cast<double>(layers_of(flash, kind).size());
  }
  CHECK(timed == 5);
  CHECK(sum_us == doctest::Approx(12 * 43));
  CHECK(layers.at(flash, {8, 100}, "hca", 4, time).median_us == doctest::Approx(24));
  CHECK(timed == 10);
  layers.at(flash, {8, 200}, "hca", 4, time);
  CHECK(timed == 15);
}

}  // namespace
}  // namespace v4cap::exec::calibrate
