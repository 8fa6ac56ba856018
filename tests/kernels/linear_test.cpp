// The reference of the projections' products against a plain formula, and what the versions decide
// from shapes alone.
#include "kernels/linear/linear.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/linear/launch.h"

namespace v4cap::kernels::linear {
namespace {

// Integers small enough for every format, different everywhere.
int pattern(int a, int b) {
  return (a * 7 + b * 3) % 5 - 2;
}

TEST_CASE("linear: every FP8 product is scaled by its row's and its weights' blocks, by groups") {
  constexpr int kRows = 3, kGroups = 2, kIn = 256, kOut = 128;
  std::vector<std::uint8_t> x, w;
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kGroups * kIn; ++k) {
      x.push_back(float_to_e4m3(static_cast<float>(pattern(r, k))));
    }
  }
  for (int n = 0; n < kGroups * kOut; ++n) {
    for (int k = 0; k < kIn; ++k) w.push_back(float_to_e4m3(static_cast<float>(pattern(k, n))));
  }
  // Scales with gaps of one row: 4 columns of 4, and one of weights for each of 2 x 1 x 2 blocks.
  std::vector<float> x_scales(4 * 4, 1e30f);
  for (int block = 0; block < 4; ++block) {
    for (int r = 0; r < kRows; ++r) {
      x_scales[static_cast<std::size_t>(4 * block + r)] = static_cast<float>(1 + block + 10 * r);
    }
  }
  const std::vector<float> w_scales = {2, 3, 5, 7};
  const std::vector<double> y = reference(Fp8Args{.rows = kRows,
                                                  .groups = kGroups,
                                                  .in = kIn,
                                                  .out = kOut,
                                                  .x = {x.data(), x_scales.data(), 4},
                                                  .w = {w.data(), w_scales.data()}});
  REQUIRE(y.size() == kRows * kGroups * kOut);
  for (int r = 0; r < kRows; ++r) {
    for (int g = 0; g < kGroups; ++g) {
      for (const int n : {0, 1, 127}) {
        double expected = 0;
        for (int k = 0; k < kIn; ++k) {
          const int block = g * 2 + k / 128;
          expected += pattern(r, g * kIn + k) * pattern(k, g * kOut + n) * (1 + block + 10 * r) *
                      static_cast<double>(w_scales[static_cast<std::size_t>(block)]);
        }
        CHECK(y[static_cast<std::size_t>((r * kGroups + g) * kOut + n)] == expected);
      }
    }
  }
}

TEST_CASE("linear: a BF16 product reads strided rows") {
  constexpr int kRows = 2, kIn = 64, kOut = 16, kStride = 72;
  std::vector<Bf16> x(kRows * kStride, to_bf16(1e30f)), w;
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kIn; ++k) {
      x[static_cast<std::size_t>(r * kStride + k)] = to_bf16(static_cast<float>(pattern(r, k)));
    }
  }
  for (int n = 0; n < kOut; ++n) {
    for (int k = 0; k < kIn; ++k) w.push_back(to_bf16(static_cast<float>(pattern(k, n))));
  }
  const std::vector<double> y = reference(Bf16Args{
      .rows = kRows, .in = kIn, .out = kOut, .x = x.data(), .x_stride = kStride, .w = w.data()});
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kOut; ++n) {
      double expected = 0;
      for (int k = 0; k < kIn; ++k) expected += pattern(r, k) * pattern(k, n);
      CHECK(y[static_cast<std::size_t>(r * kOut + n)] == expected);
    }
  }
}

TEST_CASE("linear: shapes that a version does not take are refused") {
  Fp8Args fp8{.rows = 8, .groups = 2, .in = 512, .out = 256, .y_stride = 512};
  fp8.x.scale_stride = 8;
  CHECK(refuses_operands(fp8).empty());
  CHECK_FALSE(refuses_block_scales(fp8).empty());  // a launch for each small group
  fp8.groups = 1;
  CHECK(refuses_block_scales(fp8).empty());
  fp8.rows = 6;  // the scales' columns are 8 apart
  CHECK(refuses_operands(fp8).empty());
  CHECK_FALSE(refuses_block_scales(fp8).empty());
  fp8.rows = 8;
  fp8.in = 384;
  CHECK(refuses_operands(fp8).empty());
  CHECK_FALSE(refuses_block_scales(fp8).empty());
  fp8.in = 320;
  CHECK_FALSE(refuses_operands(fp8).empty());
  fp8.in = 512;
  fp8.y_stride = 254;
  CHECK_FALSE(refuses_operands(fp8).empty());

  Bf16Args bf16{.rows = 8, .in = 64, .out = 8, .x_stride = 64, .y_stride = 8};
  CHECK(refuses_operands(bf16).empty());
  bf16.x_stride = 68;
  CHECK_FALSE(refuses_operands(bf16).empty());
  bf16.x_stride = 64;
  bf16.y_stride = 9;
  CHECK_FALSE(refuses_operands(bf16).empty());
}

TEST_CASE("linear: the streamed units are shared equally and each has the owner that takes it") {
  for (const int rows : {1, 16, 17, 64}) {
    for (const std::int64_t outs : {8, 384, 2048, 65536}) {
      for (const std::int64_t in_bytes : {128, 1536, 16384}) {
        const StreamDivision d = stream_division(rows, outs, in_bytes, 132);
        CHECK(d.tiles * stream_tile(rows) >= outs);
        CHECK((d.tiles - 1) * stream_tile(rows) < outs);
        REQUIRE(d.ctas >= 1);
        CHECK(d.begin(0) == 0);
        CHECK(d.begin(d.ctas) == d.units());
        for (int cta = 0; cta < d.ctas; ++cta) {
          const int count = d.begin(cta + 1) - d.begin(cta);
          CHECK(count >= 1);
          CHECK(count - d.units() / d.ctas <= 1);
          if (d.ctas % d.tiles == 0)
            CHECK(d.begin(cta / (d.ctas / d.tiles) * (d.ctas / d.tiles)) % d.blocks == 0);
          CHECK(d.owner(d.begin(cta)) == cta);
          CHECK(d.owner(d.begin(cta + 1) - 1) == cta);
        }
      }
    }
  }
}

TEST_CASE(
    "linear: whole tiles for a streaming CTA, or equally many CTAs for a tile, where possible") {
  CHECK(stream_division(1, 7168, 16384, 132).ctas == 112);       // a tile each
  CHECK(stream_division(1, 32768, 1024, 132).ctas == 128);       // 4 tiles each
  CHECK(stream_division(1, 2048, 7168, 132).ctas == 128);        // 4 CTAs to a tile
  CHECK(stream_division(64, 2048, 7168, 132).ctas == 128);       // 8 CTAs to a tile
  CHECK(stream_division(1, 129280, 2 * 7168, 132).ctas == 132);  // many
  CHECK(stream_division(1, 64 * 137, 1024, 132).ctas == 132);    // neither
  CHECK(stream_division(1, 384, 2 * 7168, 132).ctas == 96);      // 16 CTAs to a tile, not 22
  CHECK(stream_division(1, 384, 2 * 7168, 132).sharers() == 16);
  CHECK(stream_division(1, 7168, 16384, 132).sharers() == 1);
  CHECK(stream_division(1, 64 * 137, 1024, 132).sharers() == 0);
  CHECK(stream_division(1, 64, 2 * 7168, 132).sharers() == 0);  // more than a cluster holds
  CHECK(stream_division(1, 384, 7168, 132).sharers() <= kStreamMaxCluster);
}

TEST_CASE("linear: a streaming CTA walks its own units once each, and each tile's together") {
  for (const int tiles : {1, 6, 24, 137}) {
    for (const int blocks : {1, 12, 57}) {
      const StreamDivision d{tiles, blocks, std::min(132, tiles * blocks)};
      std::vector<int> visits(static_cast<std::size_t>(d.units()), 0);
      for (int cta = 0; cta < d.ctas; ++cta) {
        int parts = 0;
        for (StreamWalk walk(d, cta, 5); !walk.done(); walk.advance()) {
          const int unit = walk.tile * blocks + walk.block();
          REQUIRE(unit >= d.begin(cta));
          REQUIRE(unit < d.begin(cta + 1));
          ++visits[static_cast<std::size_t>(unit)];
          if (walk.last_of_tile()) ++parts;
        }
        const int first = d.begin(cta) / blocks, last = (d.begin(cta + 1) - 1) / blocks;
        CHECK(parts == last - first + 1);
      }
      CHECK(visits == std::vector<int>(visits.size(), 1));
    }
  }
  // Staggered, two CTAs with a tile each do not start at the same block.
  const StreamDivision d{2, 128, 2};
  CHECK(StreamWalk(d, 0, 5).block() != StreamWalk(d, 1, 5).block());
}

TEST_CASE("linear: the streaming version's workspace holds two tiles of each CTA") {
  CHECK(stream_workspace(16, 2048, 7168) == 132 * 2 * 64 * 16 * 4);
  CHECK(stream_workspace(33, 2048, 7168) == 132 * 2 * 128 * 64 * 4);
  CHECK(stream_workspace(1, 64, 256) == 2 * 2 * 64 * 8 * 4);  // 2 units: 2 CTAs
  Fp8Args args{.rows = 64, .in = 512, .out = 256, .x = {.scale_stride = 64}, .y_stride = 256};
  CHECK(refuses_stream(args).empty());
  args.rows = 65;
  CHECK_FALSE(refuses_stream(args).empty());
}

TEST_CASE("linear: the large product visits every tile once, in bands") {
  for (const int down : {1, 15, 16, 37}) {
    for (const int across : {1, 7}) {
      const TileOrder order{.down = down, .across = across, .groups = 2};
      std::vector<int> visits(static_cast<std::size_t>(order.count()), 0);
      for (int item = 0; item < order.count(); ++item) {
        const TileOrder::Place place = order.at(item);
        REQUIRE(place.down < down);
        REQUIRE(place.across < across);
        ++visits[static_cast<std::size_t>((place.group * down + place.down) * across +
                                          place.across)];
      }
      CHECK(visits == std::vector<int>(visits.size(), 1));
    }
  }
  // The first 16 x 7 tiles stay within the first band of rows.
  const TileOrder order{.down = 37, .across = 7, .groups = 1};
  CHECK(order.at(16 * 7 - 1).down == 15);
  CHECK(order.at(16 * 7 - 1).across == 6);
  CHECK(order.at(16 * 7).down == 16);
}

}  // namespace
}  // namespace v4cap::kernels::linear
