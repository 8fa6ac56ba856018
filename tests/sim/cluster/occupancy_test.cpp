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

TEST_CASE("occupancy: many time lines together are bounded, each has some samples") {
  CHECK(samples_of_each(0) == 512);
  CHECK(samples_of_each(8) == 512);
  CHECK(samples_of_each(64) == 512);
  CHECK(samples_of_each(256) == 128);
  CHECK(samples_of_each(100'000) == 32);
}

TEST_CASE("occupancy: lives of a replica are one line, in order and not too long") {
  std::vector<OccupancySample> all;
  for (std::int64_t life = 0; life < 20; ++life) {
    std::vector<OccupancySample> samples;
    for (std::int64_t i = 0; i < 8; ++i) samples.push_back({SimTime{Duration{8 * life + i}}});
    append_life(all, samples, 16);
    CHECK(all.size() <= 16);
    CHECK(all.size() > 8 - (life == 0 ? 1 : 0));
    CHECK(std::ranges::is_sorted(all, {}, &OccupancySample::at));
    CHECK(all.front().at == kSimStart);
  }
}

}  // namespace
}  // namespace v4cap
