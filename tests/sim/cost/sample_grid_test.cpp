#include "sim/cost/sample_grid.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>

namespace v4cap {
namespace {

using enum Interpolation;
using enum SampleKind;
using Point = std::array<double, kSampleAxesMax>;

SampleTime ask(const SampleGrid& grid, std::vector<double> point) {
  return grid.at(point);
}

SampleGrid ragged_batches() {
  return SampleGrid({linear, linear}, {{{64, 1024}, 100},
                                       {{64, 8192}, 200},
                                       {{64, 16384}, 320},
                                       {{128, 1024}, 150},
                                       {{128, 8192}, 350}});
}

TEST_CASE("a measured point is given back as measured, between points it is interpolated") {
  const SampleGrid grid = ragged_batches();
  CHECK(ask(grid, {64, 8192}).us == 200);
  CHECK(ask(grid, {64, 8192}).kind == measured);
  CHECK(ask(grid, {96, 1024}).us == doctest::Approx(125));
  CHECK(ask(grid, {96, 1024}).kind == interpolated);
  CHECK(ask(grid, {96, 4608}).us == doctest::Approx(200));
  CHECK(grid.size() == 5);
}

TEST_CASE("below the first point the first time holds, above the last the slope goes on") {
  const SampleGrid grid = ragged_batches();
  CHECK(ask(grid, {64, 1}).us == 100);
  CHECK(ask(grid, {64, 1}).kind == extrapolated);
  CHECK(ask(grid, {1, 1024}).us == 100);
  CHECK(ask(grid, {64, 16384 + 8192}).us == doctest::Approx(440));
  CHECK(ask(grid, {64, 24576}).kind == extrapolated);
  CHECK(ask(grid, {192, 1024}).us == doctest::Approx(200));
  CHECK(ask(grid, {192, 1024}).kind == extrapolated);
  const SampleGrid falling({linear}, {{{1}, 10}, {{2}, 8}});
  CHECK(ask(falling, {4}).us == 8);
  const SampleGrid one({linear}, {{{5}, 10}});
  CHECK(ask(one, {5}).kind == measured);
  CHECK(ask(one, {50}).us == 10);
  CHECK(ask(one, {50}).kind == extrapolated);
}

TEST_CASE("the slope beyond the end does not hang on the noise of two close points") {
  const SampleGrid grid({linear}, {{{100}, 100}, {{1000}, 1000}, {{1001}, 1020}});
  CHECK(ask(grid, {2002}).us == doctest::Approx(1020 + 920.0 / 901 * 1001));
}

TEST_CASE("where one batch was measured further, the other is scaled from it") {
  const SampleGrid grid = ragged_batches();
  // t(128, 12288) = t(64, 12288) * 350 / 200 = 260 * 1.75 = 455.
  CHECK(ask(grid, {96, 12288}).us == doctest::Approx((260 + 455) / 2.0));
  // The hull of both ends at 12288 for a batch of 96.
  CHECK(ask(grid, {96, 12288}).kind == interpolated);
  CHECK(ask(grid, {96, 12289}).kind == extrapolated);
  CHECK(ask(grid, {127, 9000}).kind == extrapolated);
  // Continuous where the shorter ends and where the longer ends.
  for (const double edge : {8192.0, 16384.0}) {
    CAPTURE(edge);
    CHECK(ask(grid, {96, edge + 1e-6}).us == doctest::Approx(ask(grid, {96, edge}).us));
  }
}

TEST_CASE("a log axis is exact for powers, a linear one for straight lines") {
  std::vector<Sample> power, line;
  for (const double x : {1.0, 4.0, 64.0, 1024.0}) {
    power.push_back({{x}, 3 * std::pow(x, 0.7)});
    line.push_back({{x}, 5 + 2 * x});
  }
  const SampleGrid logs({log}, power), lines({linear}, line);
  for (const double x : {2.0, 17.0, 700.0}) {
    CAPTURE(x);
    CHECK(ask(logs, {x}).us == doctest::Approx(3 * std::pow(x, 0.7)));
    CHECK(ask(lines, {x}).us == doctest::Approx(5 + 2 * x));
  }
}

// The rules of sample_grid.h once more, plainly: a tree of maps, without any search of its own.
struct Node {
  double us = 0;
  std::map<double, Node> below;
};

struct Reference {
  std::vector<Interpolation> axes;
  Node root;

  struct Answer {
    double us = 0;
    bool between = false, outside = false, beyond = false;
  };

  Reference(std::vector<Interpolation> interpolation, const std::vector<Sample>& samples)
      : axes(std::move(interpolation)) {
    for (const Sample& s : samples) {
      Node* node = &root;
      for (std::size_t i = 0; i < axes.size(); ++i) node = &node->below[s.at[i]];
      node->us = s.us;
    }
  }

  double mix(std::size_t level, double x0, double x1, double x, double a, double b) const {
    if (axes[level] == linear) return a + (b - a) * (x - x0) / (x1 - x0);
    return std::exp(std::log(a) +
                    (std::log(b) - std::log(a)) * std::log(x / x0) / std::log(x1 / x0));
  }

  Answer ask(const Node& node, std::size_t level, const Point& q) const {
    if (node.below.empty()) return {node.us};
    const double x = q[level];
    if (const auto hit = node.below.find(x); hit != node.below.end()) {
      return ask(hit->second, level + 1, q);
    }
    const auto high = node.below.upper_bound(x);
    if (high == node.below.begin()) {
      Answer a = ask(high->second, level + 1, q);
      a.between = a.outside = true;
      return a;
    }
    if (high == node.below.end()) {
      const auto last = std::prev(high);
      auto low = node.below.upper_bound(last->first / 2);
      if (low != node.below.begin()) --low;
      if (low == last) {
        return {ask(last->second, level + 1, q).us, true, true, true};
      }
      const auto [a, b] = sides(*low, *last, level, q);
      const double slope = std::max(0.0, (b.us - a.us) / (last->first - low->first));
      return {b.us + slope * (x - last->first), true, true, true};
    }
    const auto low = std::prev(high);
    const auto [a, b] = sides(*low, *high, level, q);
    return {mix(level, low->first, high->first, x, a.us, b.us), true, a.outside || b.outside,
            a.beyond || b.beyond};
  }

  using Entry = std::pair<const double, Node>;

  std::pair<Answer, Answer> sides(const Entry& low, const Entry& high, std::size_t level,
                                  const Point& q) const {
    Answer a = ask(low.second, level + 1, q), b = ask(high.second, level + 1, q);
    if (!a.beyond && !b.beyond) return {a, b};
    const Point reach_a = reach(low.second, level + 1, q),
                reach_b = reach(high.second, level + 1, q);
    if (reach_a == reach_b) return {a, b};
    const bool a_longer = reach_a > reach_b;
    const Entry& longer = a_longer ? low : high;
    const Entry& shorter = a_longer ? high : low;
    const Point edge = std::min(reach_a, reach_b);
    Answer base = a_longer ? a : b;
    Answer other = base;
    other.us *= ask(shorter.second, level + 1, edge).us / ask(longer.second, level + 1, edge).us;
    if (!base.beyond) {
      for (std::size_t i = level + 1; i < axes.size(); ++i) {
        if (edge[i] == q[i]) continue;
        Point far = q;
        far[i] = std::numeric_limits<double>::infinity();
        const double end = reach(longer.second, level + 1, far)[i];
        const double w = (q[level] - longer.first) / (shorter.first - longer.first);
        if (q[i] > end + w * (edge[i] - end)) other.outside = true;
        break;
      }
    }
    return a_longer ? std::pair(base, other) : std::pair(other, base);
  }

  Point reach(const Node& node, std::size_t level, Point q) const {
    if (node.below.empty()) return q;
    q[level] = std::min(q[level], node.below.rbegin()->first);
    const auto high = node.below.upper_bound(q[level]);
    if (high == node.below.begin()) return reach(high->second, level + 1, q);
    const auto low = std::prev(high);
    const Point from_low = reach(low->second, level + 1, q);
    if (high == node.below.end() || low->first == q[level]) return from_low;
    return std::max(from_low, reach(high->second, level + 1, q));
  }
};

std::vector<Sample> random_samples(std::mt19937& random, std::size_t axes) {
  std::vector<Sample> out;
  const auto grow = [&](const auto& self, Sample s, std::size_t axis) -> void {
    if (axis == axes) {
      s.us = 10 + std::uniform_real_distribution<double>(0, 5)(random);
      for (std::size_t i = 0; i < axes; ++i) s.us += std::pow(s.at[i], 0.6);
      out.push_back(s);
      return;
    }
    const int values = std::uniform_int_distribution<int>(1, axes > 2 ? 5 : 9)(random);
    double x = 1;
    for (int i = 0; i < values; ++i) {
      s.at[axis] = x;
      self(self, s, axis + 1);
      x += std::uniform_int_distribution<int>(1, 1 << (i + 2))(random);
    }
  };
  grow(grow, {}, 0);
  return out;
}

TEST_CASE("10,000 random queries agree with the rules written plainly") {
  std::mt19937 random(20261122);
  int checked = 0;
  std::map<SampleKind, int> kinds;
  while (checked < 10'000) {
    const std::size_t axes = std::uniform_int_distribution<std::size_t>(1, 4)(random);
    std::vector<Interpolation> interpolation;
    for (std::size_t i = 0; i < axes; ++i) interpolation.push_back(random() % 2 ? linear : log);
    const std::vector<Sample> samples = random_samples(random, axes);
    const SampleGrid grid(interpolation, samples);
    const Reference reference(interpolation, samples);
    for (int i = 0; i < 100; ++i, ++checked) {
      Point q = samples[random() % samples.size()].at;
      for (std::size_t axis = 0; axis < axes; ++axis) {
        if (random() % 2) q[axis] = 0.5 + static_cast<double>(random() % 400) / 2;
      }
      const Reference::Answer want = reference.ask(reference.root, 0, q);
      const SampleTime got = grid.at(std::span(q.data(), axes));
      CAPTURE(axes);
      CAPTURE(q[0]);
      CAPTURE(q[1]);
      CAPTURE(q[2]);
      CAPTURE(q[3]);
      REQUIRE(got.us == doctest::Approx(want.us).epsilon(1e-9));
      REQUIRE(got.kind == (want.outside ? extrapolated : (want.between ? interpolated : measured)));
      ++kinds[got.kind];
    }
  }
  CHECK(kinds[measured] > 500);
  CHECK(kinds[interpolated] > 1000);
  CHECK(kinds[extrapolated] > 1000);
}

TEST_CASE("a row answers as the grid does") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::vector<Sample> samples = random_samples(random, 2);
    const SampleGrid grid({linear, linear}, samples);
    for (int i = 0; i < 10; ++i) {
      const double first =
          std::min(0.5 + static_cast<double>(random() % 300) / 2, samples.back().at[0]);
      const SampleGrid::Row row = grid.row(first);
      for (int k = 0; k < 20; ++k) {
        const double second = static_cast<double>(random() % 1000) / 2;
        CAPTURE(first);
        CAPTURE(second);
        const SampleTime want = ask(grid, {first, second}), got = row.at(second);
        REQUIRE(got.us == doctest::Approx(want.us).epsilon(1e-9));
        REQUIRE(got.kind == want.kind);
      }
    }
  }
}

TEST_CASE("a row beyond the last batch answers as the grid does where time grows with the batch") {
  const SampleGrid grid = ragged_batches();
  const SampleGrid::Row row = grid.row(200);
  for (const double past : {1.0, 2000.0, 8192.0, 12000.0, 16384.0, 40000.0}) {
    CAPTURE(past);
    CHECK(row.at(past).us == doctest::Approx(ask(grid, {200, past}).us));
    CHECK(row.at(past).kind == extrapolated);
  }
}

TEST_CASE("a row over a log axis is exact at its points and near between them") {
  std::vector<Sample> samples;
  for (const double batch : {1.0, 8.0}) {
    for (const double past : {1.0, 64.0, 4096.0}) {
      samples.push_back({{batch, past}, 20 + batch * std::sqrt(past)});
    }
  }
  for (const auto& axes : {std::vector{linear, log}, std::vector{log, linear}}) {
    const SampleGrid grid(axes, samples);
    const SampleGrid::Row row = grid.row(4);
    CHECK(row.at(64).us == doctest::Approx(ask(grid, {4, 64}).us));
    CHECK(row.at(512).us == doctest::Approx(ask(grid, {4, 512}).us).epsilon(0.02));
    CHECK(row.at(8192).us == doctest::Approx(ask(grid, {4, 8192}).us).epsilon(0.02));
  }
}

TEST_CASE("samples come back as they were put in, in order") {
  std::mt19937 random(3);
  std::vector<Sample> samples = random_samples(random, 3);
  const std::vector<Sample> sorted = samples;
  std::ranges::shuffle(samples, random);
  const std::vector<Sample> back = SampleGrid({linear, log, linear}, samples).samples();
  REQUIRE(back.size() == sorted.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    REQUIRE(back[i].at == sorted[i].at);
    REQUIRE(back[i].us == sorted[i].us);
  }
}

TEST_CASE("the running maximum raises along one axis only and counts") {
  std::vector<Sample> samples = {{{1, 1}, 10}, {{1, 2}, 8}, {{1, 4}, 12}, {{2, 1}, 5}};
  const Raised raised = raise_to_running_maximum(samples, 1);
  CHECK(raised.samples == 1);
  CHECK(raised.worst_pct == doctest::Approx(25));
  const SampleGrid grid({linear, linear}, samples);
  CHECK(ask(grid, {1, 2}).us == 10);
  CHECK(ask(grid, {2, 1}).us == 5);
}

}  // namespace
}  // namespace v4cap
