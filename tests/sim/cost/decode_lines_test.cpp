#include "sim/cost/decode_lines.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>

#include "sim/core/random.h"

namespace v4cap {
namespace {

constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();

// Batches measured to different contexts, at whole and broken ones.
SampleGrid made_grid(Interpolation past) {
  std::vector<Sample> samples;
  for (const double batch : {1.0, 4.0, 32.0}) {
    for (const double tokens : {1.0, 7.0, 64.5, 128.0, 2000.0, 8191.0, 8200.0, 100'000.0}) {
      if (batch == 32 && tokens > 8200) continue;
      samples.push_back({{batch, tokens}, 5 + batch * (3 + std::sqrt(tokens)) / 7});
    }
  }
  return SampleGrid({Interpolation::log, past}, samples);
}

struct Draw {
  RandomEngine random = RandomStreams(3).stream("decode lines");
  std::int64_t operator()(std::int64_t low, std::int64_t high) {
    return boost::random::uniform_int_distribution<std::int64_t>(low, high)(random);
  }
};

TEST_CASE("decode lines say what the row says, of the same kind, as far as they reach") {
  Draw draw;
  for (const Interpolation past : {Interpolation::linear, Interpolation::log}) {
    const SampleGrid grid = made_grid(past);
    for (const double batch : {1.0, 3.0, 4.0, 20.0, 32.0, 50.0}) {
      const SampleGrid::Row row = grid.row(batch);
      for (const std::int64_t reach : {kNoEnd, std::int64_t{127}, std::int64_t{0}}) {
        const DecodeLines lines(row, reach);
        double worst = 0;
        bool same_kind = true;
        for (int i = 0; i < 3000; ++i) {
          const std::int64_t tokens = i < 300 ? i : draw(0, std::int64_t{1} << draw(1, 20));
          const SampleTime time = row.at(static_cast<double>(std::min(tokens, reach)));
          DecodeSums sums;
          lines.add(tokens, sums);
          for (std::size_t kind = 0; kind < sums.us.size(); ++kind) {
            const bool is_it = kind == static_cast<std::size_t>(time.kind);
            same_kind = same_kind && (sums.us[kind] != 0) == is_it;
            if (is_it) worst = std::max(worst, std::abs(sums.mean(kind, 1) / time.us - 1));
          }
        }
        CAPTURE(batch);
        CAPTURE(reach);
        CHECK(same_kind);
        CHECK(worst < 1e-9);
      }
    }
  }
}

TEST_CASE(
    "decode lines: sums are exact in any order, and go on by their slopes while they say so") {
  Draw draw;
  const SampleGrid grid = made_grid(Interpolation::linear);
  std::int64_t steady = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const DecodeLines lines(grid.row(static_cast<double>(draw(1, 40))),
                            draw(0, 2) == 0 ? 127 : kNoEnd);
    std::vector<std::int64_t> past(static_cast<std::size_t>(draw(1, 12)));
    for (std::int64_t& tokens : past) tokens = draw(0, std::int64_t{1} << draw(1, 18));
    const DecodeSums sums = lines.sum(past, 0, true);
    DecodeSums one_by_one;
    for (const std::int64_t tokens : past) lines.add(tokens, one_by_one);
    CHECK(sums.us == one_by_one.us);
    CHECK(lines.sum(past).us == sums.us);
    std::ranges::reverse(past);
    CHECK(lines.sum(past).us == sums.us);
    REQUIRE(sums.steady >= 1);
    steady += sums.steady > 1 ? 1 : 0;
    const std::int64_t steps = std::min<std::int64_t>(sums.steady, 1000) - 1;
    for (std::int64_t& tokens : past) tokens += steps;
    const DecodeSums later = lines.sum(past);
    for (std::size_t kind = 0; kind < sums.us.size(); ++kind) {
      CHECK(later.us[kind] == sums.us[kind] + sums.slope[kind] * steps);
    }
  }
  CHECK(steady > 100);
}

TEST_CASE("decode lines: sums of two modules made together are those of each") {
  Draw draw;
  const SampleGrid grid = made_grid(Interpolation::linear);
  std::int64_t steady = 0, kinds = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const auto lines = [&] {
      return DecodeLines(grid.row(static_cast<double>(draw(1, 40))),
                         draw(0, 2) == 0 ? 127 : kNoEnd);
    };
    const DecodeLines a = lines(), b = lines();
    const PairedDecodeLines both(a, b);
    std::vector<std::int64_t> past(static_cast<std::size_t>(draw(1, 12)));
    for (std::int64_t& tokens : past) tokens = draw(0, std::int64_t{1} << draw(1, 20));
    const DecodeSums of_a = a.sum(past, 0, true), of_b = b.sum(past, 0, true);
    const std::array<DecodeSums, 2> sums = both.sum(past);
    CHECK(sums[0].us == of_a.us);
    CHECK(sums[1].us == of_b.us);
    CHECK(sums[0].slope == of_a.slope);
    CHECK(sums[1].slope == of_b.slope);
    CHECK(sums[0].steady == std::min(of_a.steady, of_b.steady));
    CHECK(sums[1].steady == sums[0].steady);
    steady += sums[0].steady > 1 ? 1 : 0;
    kinds += std::ranges::count_if(of_a.us, [](ExactUs us) { return us != 0; }) > 1 ? 1 : 0;
    DecodeSums later = sums[0];
    const std::int64_t steps = std::min<std::int64_t>(later.steady, 1000) - 1;
    later.go_on(steps);
    for (std::int64_t& tokens : past) tokens += steps;
    CHECK(later.us == a.sum(past).us);
  }
  CHECK(steady > 100);
  CHECK(kinds > 20);
}

TEST_CASE("decode lines: sums that fill more than 64 bits become the nearest double") {
  const auto power = [](int bits) { return static_cast<ExactUs>(1) << bits; };
  CHECK(to_double(0) == 0);
  CHECK(to_double(power(100)) == 0x1p100);
  CHECK(to_double(-power(100)) == -0x1p100);
  CHECK(to_double(power(100) + power(47)) == 0x1p100);  // halfway: to even
  CHECK(to_double(power(100) + power(47) + 1) == 0x1p100 + 0x1p48);
  CHECK(to_double(-(power(60) + 1)) == -0x1p60);
}

}  // namespace
}  // namespace v4cap
