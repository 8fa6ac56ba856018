// Routed experts: the references on products that can be worked by hand, and how the work is cut.
#include "kernels/experts/experts.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/experts/launch.h"

namespace v4cap::kernels::experts {
namespace {

// Two experts of 128 -> 128 channels whose weights are one number each.
struct Small {
  static constexpr std::size_t kWidth = 128;
  std::vector<std::uint8_t> x_codes = std::vector<std::uint8_t>(2 * kWidth);
  std::vector<float> x_scales = {0.5f, 2.0f, 0, 0};
  std::vector<std::uint8_t> w13, w13_scales;
  std::vector<std::int32_t> offsets = {0, 1, 3}, row_token = {1, 0, 1};
  std::vector<float> row_weight = {1, 2, -0.5f};

  Small() {
    // Token 0 has a single channel, 3 * 0.5 in channel 33; token 1 is 1 * 2 in channel 0.
    x_codes[33] = float_to_e4m3(3);
    x_codes[kWidth] = float_to_e4m3(1);
    // Gate rows are 1, up rows 2, times the scale of channels 32..63, which differs by expert.
    for (const int expert : {0, 1}) {
      for (const int part : {0, 1}) {
        const auto code = static_cast<std::uint8_t>(part == 0 ? 0x22 : 0x44);
        w13.insert(w13.end(), kWidth * kWidth / 2, code);
        for (std::size_t row = 0; row < kWidth; ++row) {
          for (int group = 0; group < 4; ++group) {
            w13_scales.push_back(static_cast<std::uint8_t>(group == 1 ? 127 + expert : 126));
          }
        }
      }
    }
  }
  GateUpArgs args() {
    return {.experts = 2,
            .hidden = 128,
            .intermediate = 128,
            .max_rows = 3,
            .tokens = 2,
            .x = {x_codes.data(), x_scales.data(), 4},
            .w13 = {w13.data(), w13_scales.data()},
            .offsets = offsets.data(),
            .row_token = row_token.data(),
            .row_weight = row_weight.data()};
  }
};

double silu(double x) {
  return x / (1 + std::exp(-x));
}

TEST_CASE("experts: gate and up with the scales of their channels, times the route weight") {
  Small small;
  const GateUpExpected e = reference(small.args());
  REQUIRE(e.activated.size() == 3 * 128);
  // Row 0: expert 0, token 1: channel 0 at 2 with scale 1/2: gate 1, up 2.
  CHECK(e.activated[5] == doctest::Approx(silu(1) * 2));
  // Row 1: expert 1, token 0: channel 33 at 1.5 with scale 2: gate 3, up 6; weight 2.
  CHECK(e.activated[128 + 7] == doctest::Approx(silu(3) * 6 * 2));
  // Row 2: expert 1, token 1, weight -0.5.
  CHECK(e.activated[256] == doctest::Approx(silu(1) * 2 * -0.5));
  CHECK(std::fabs(e.dequantised[256] / e.activated[256] - 1) < 1.0 / 16);
}

TEST_CASE("experts: gate is limited from above, up on both sides") {
  Small small;
  small.x_scales = {16.0f, 2.0f, 0, 0};  // token 0: 48 in channel 33
  GateUpExpected e = reference(small.args());
  CHECK(e.activated[128] == doctest::Approx(silu(10) * 10 * 2));
  small.x_codes[33] = float_to_e4m3(-3);
  e = reference(small.args());
  CHECK(e.activated[128] == doctest::Approx(silu(-96) * -10 * 2));
}

TEST_CASE("experts: W2 by hand, the even channel in the low half of a byte") {
  std::vector<std::uint8_t> codes(2 * 128), w(128 * 64), scales(128 * 4, 127);
  std::vector<float> a_scales = {1, 4, 0, 0};
  codes[6] = float_to_e4m3(2);
  codes[128 + 7] = float_to_e4m3(1);
  w[3] = 0x57;       // row 0: channel 6 is 6, channel 7 is 3
  w[64 + 3] = 0xf9;  // row 1: channel 6 is -0.5, channel 7 is -6
  const std::vector<std::int32_t> offsets = {0, 2};
  const std::vector<double> y = reference(DownArgs{.experts = 1,
                                                   .hidden = 128,
                                                   .intermediate = 128,
                                                   .max_rows = 2,
                                                   .a = {codes.data(), a_scales.data(), 4},
                                                   .w2 = {w.data(), scales.data()},
                                                   .offsets = offsets.data()});
  CHECK(y[0] == 12);
  CHECK(y[1] == -1);
  CHECK(y[128] == 12);
  CHECK(y[129] == -24);
  CHECK(y[2] == 0);
}

TEST_CASE("experts: token tiles cover an expert's rows, none is empty") {
  for (int rows = 1; rows <= 1000; ++rows) {
    CAPTURE(rows);
    const int tiles = token_tiles(rows), each = rows_of_tile(rows);
    CHECK(each <= kTileTokens);
    CHECK(tiles * each >= rows);
    CHECK((tiles - 1) * each < rows);
    CHECK(columns_for(each) >= each);

    const int wide_tiles = token_tiles(rows, kTileTokensSm100a);
    const int wide_each = rows_of_tile(rows, kTileTokensSm100a);
    CHECK(wide_each <= kTileTokensSm100a);
    CHECK(wide_tiles * wide_each >= rows);
    CHECK((wide_tiles - 1) * wide_each < rows);
  }
  CHECK(token_tiles(0) == 0);
  CHECK(token_tiles(96) == 2);
  CHECK(rows_of_tile(96) == 48);
  CHECK(columns_for(12) == 16);
}

TEST_CASE("experts: shapes that no version takes are refused") {
  CHECK(refuses(48, 7168, 3072).empty());
  CHECK(refuses(32, 4096, 2048).empty());
  CHECK(!refuses(513, 4096, 2048).empty());
  CHECK(!refuses(32, 4224, 2048).empty());
  CHECK(!refuses(32, 4096, 1920).empty());
  CHECK(!refuses(0, 4096, 2048).empty());
}

}  // namespace
}  // namespace v4cap::kernels::experts
