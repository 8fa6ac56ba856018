#include "sim/cluster/occupancy.h"

#include <doctest/doctest.h>

namespace v4cap {
namespace {

TEST_CASE("occupancy: at most the limit, evenly spaced, from the first step on") {
  struct Row {
    std::int64_t steps, spacing;
  };
  for (const Row& row : {Row{1, 1}, {7, 1}, {8, 2}, {14, 2}, {15, 4}, {16, 4}, {1000, 256}}) {
    CAPTURE(row.steps);
    OccupancyRecorder recorder(8);
    for (std::int64_t step = 0; step < row.steps; ++step) {
      if (recorder.due()) recorder.add({SimTime{Duration{step}}, {}, {}, 0, 0});
    }
    const auto samples = recorder.take();
    CHECK(samples.size() <= 8);
    CHECK(samples.size() == static_cast<std::size_t>((row.steps + row.spacing - 1) / row.spacing));
    for (std::size_t i = 0; i < samples.size(); ++i) {
      CHECK(samples[i].at == SimTime{Duration{static_cast<std::int64_t>(i) * row.spacing}});
    }
  }
}

}  // namespace
}  // namespace v4cap
