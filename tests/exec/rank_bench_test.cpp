// What is made of times of whole steps.
#include "exec/calibrate/rank_bench.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "sim/config/model_file.h"

namespace v4cap::exec::calibrate {
namespace {

ModelSpec flash() {
  return load_model(std::string(V4CAP_SOURCE_DIR) + "/scenarios/models/deepseek-v4-flash.yaml")
      .spec;
}

TEST_CASE("layers of a step: a kind's time is the mean of its layers, over steps") {
  const ModelSpec model = flash();
  REQUIRE(layer_kinds(model) == std::vector<std::string>{"csa", "csa_hash", "hca", "window_hash"});
  KindTimes times(model);
  std::vector<double> us(43, 100);
  us[42] += 21;  // one of the CSA layers that are not routed by hash
  const double csa = 100 + 21.0 / 20;
  times.add(us, 1);
  times.add(us, 1.1);
  const LayerTimes of_kind = times.summarised(1755);
  REQUIRE(of_kind.size() == 4);
  CHECK(of_kind.at("hca").median_us == doctest::Approx(105));
  const Measurement m = of_kind.at("csa");
  CHECK(m.median_us == doctest::Approx(1.05 * csa));
  CHECK(m.samples == 2);
  CHECK(m.sm_mhz == 1755);
  // Two steps that differ by d: the standard error of their mean is d / 2.
  CHECK(m.p90_us - m.median_us == doctest::Approx(1.2816 * 0.1 * csa / 2));
  CHECK(m.median_us - m.p10_us == doctest::Approx(m.p90_us - m.median_us));
}

TEST_CASE("layers of a step: kinds that scatter ask for more steps") {
  const ModelSpec model = flash();
  KindTimes times(model);
  std::vector<double> us(43, 100), other = us;
  other[0] = other[1] = 160;  // both layers of one kind, which differ from step to step
  CHECK_FALSE(times.settled());
  times.add(us, 1);
  CHECK_FALSE(times.settled());  // one step does not tell
  times.add(other, 1);
  CHECK_FALSE(times.settled());
  int steps = 2;
  for (; !times.settled() && steps < 100; ++steps) times.add(steps % 2 == 0 ? us : other, 1);
  // Deviation 30 of 130: 2 x 1.2816 x 30 / sqrt(n) <= 0.15 x 130 from n = 16 on.
  CHECK(steps >= 16);
  CHECK(steps <= 18);
}

TEST_CASE("the middle of scattered samples: the median, as sure as their number makes it") {
  std::vector<double> us;
  for (int i = 0; i <= 100; ++i) us.push_back(100 - i);
  const Measurement m = middle_of(us, 1980);
  CHECK(m.median_us == 50);
  CHECK(m.p90_us - 50 == doctest::Approx(1.2816 * 1.253 * (50 / 1.349) / std::sqrt(101.0)));
  CHECK(50 - m.p10_us == doctest::Approx(m.p90_us - 50));
  us.back() = 1e6;  // one interruption moves it little
  CHECK(middle_of(us, 1980).median_us <= 51);
}

TEST_CASE("layers of a step: one point is timed once for all kinds, and again when asked again") {
  int timed = 0;
  const auto time = [&] {
    ++timed;
    const double us = 10.0 * timed;
    return LayerTimes{{"csa", {us, us, us, 5, 1980}}, {"hca", {us + 1, us + 1, us + 1, 5, 1980}}};
  };
  TimedOnce once;
  CHECK(once.at({8, 100}, "csa", time).median_us == 10);
  CHECK(once.at({8, 100}, "hca", time).median_us == 11);
  CHECK(timed == 1);
  CHECK(once.at({8, 100}, "hca", time).median_us == 21);
  CHECK(once.at({8, 200}, "hca", time).median_us == 31);
  CHECK(timed == 3);
}

}  // namespace
}  // namespace v4cap::exec::calibrate
