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

TEST_CASE("occupancy: steps that are sampled are multiples of one number, whatever the limit") {
  for (const std::size_t limit : {2U, 3U, 7U, 8U, 33U}) {
    OccupancyRecorder recorder(limit);
    for (std::int64_t step = 0; step < 1000; ++step) {
      if (recorder.due()) recorder.add({SimTime{Duration{step}}, {}, {}, 0, 0});
    }
    const auto samples = recorder.take();
    REQUIRE(!samples.empty());
    const Duration apart = samples.size() > 1 ? samples[1].at - samples[0].at : Duration{1};
    for (std::size_t i = 0; i < samples.size(); ++i) {
      CHECK(samples[i].at == kSimStart + apart * static_cast<std::int64_t>(i));
    }
  }
}

TEST_CASE(
    "occupancy: a grid in time is even, and says the same however far apart it is looked at") {
  const SimTime begin{Duration{5'000'000}};
  const auto fill = [&](std::int64_t stride_ms, std::int64_t last_ms) {
    OccupancyGrid grid;
    CHECK(grid.next() == kNever);
    grid.begin(begin);
    for (std::int64_t ms = 0; ms <= last_ms; ms += stride_ms) {
      const SimTime now = begin + Duration{1'000'000} * ms;
      while (grid.next() <= now) grid.add({.running = grid.next().time_since_epoch().count()});
    }
    return grid.take();
  };
  struct Row {
    std::int64_t last_ms, spacing_ms;
  };
  for (const Row& row : {Row{0, 1}, {4'094, 1}, {4'095, 2}, {8'189, 2}, {8'190, 4}, {99'990, 32}}) {
    CAPTURE(row.last_ms);
    const auto samples = fill(1, row.last_ms);
    CHECK(samples.size() <= OccupancyGrid::kLimit);
    CHECK(samples.size() == static_cast<std::size_t>(row.last_ms / row.spacing_ms + 1));
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const SimTime at =
          begin + Duration{1'000'000} * (static_cast<std::int64_t>(i) * row.spacing_ms);
      CHECK(samples[i].at == at);
      CHECK(samples[i].running == at.time_since_epoch().count());
    }
  }
  const auto often = fill(1, 30'000), seldom = fill(1'000, 30'000);
  REQUIRE(often.size() == seldom.size());
  for (std::size_t i = 0; i < often.size(); ++i) CHECK(often[i].at == seldom[i].at);
}

TEST_CASE("occupancy: a grid says how many fit before some are dropped") {
  OccupancyGrid grid;
  grid.begin(kSimStart);
  for (int i = 0; i < 100; ++i) grid.add({});
  const SimTime last = grid.after(grid.room() - 1);
  while (grid.room() > 1) grid.add({});
  CHECK(grid.next() == last);
  grid.add({});
  CHECK(grid.room() == OccupancyGrid::kLimit / 2);
  CHECK(grid.next() == last + OccupancyGrid::kFinest);
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
