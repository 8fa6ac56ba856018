// The scale tensors that cuBLASLt's MXFP8 products read, against the layout as it is documented:
// from a byte's offset to its row and group of channels, and tiles in row-major order.
#include "kernels/linear/mxfp8_scales.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

namespace v4cap::kernels::linear {
namespace {

// Powers of two, neighbours different.
float power(int a, int b) {
  return ue8m0_to_float(static_cast<std::uint8_t>(100 + (a * 7 + b * 3) % 50));
}

template <class Line>
std::vector<std::uint8_t> write(const ScaleTiles& tiles, const Line& line) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(tiles.bytes()), 0xee);
  for (std::int64_t i = 0; i < tiles.lines(); ++i) {
    const ScaleLine value = line(i);
    std::memcpy(bytes.data() + i * kScaleLineBytes, &value, sizeof value);
  }
  return bytes;
}

struct Scale {
  int row, group_of_32;
};
// The row and the group of 32 channels that the byte at `offset` of a tensor belongs to, for a
// width of `groups_of_32` groups. Tiles have 512 bytes.
Scale documented(std::int64_t offset, int groups_of_32) {
  const int tiles_across = (groups_of_32 + 3) / 4;
  const auto tile = static_cast<int>(offset / 512), within = static_cast<int>(offset % 512);
  const int outer = within % 16 / 4 * 32 + within / 16, inner = within % 4;
  return {tile / tiles_across * 128 + outer, tile % tiles_across * 4 + inner};
}

TEST_CASE("mxfp8 scales: a row's scale stands at its documented place for each of four groups") {
  for (const int rows : {1, 31, 33, 128, 129, 300}) {
    constexpr int kGroups = 2, kIn = 384;
    const std::int64_t stride = scale_stride_for(rows);
    std::vector<float> scales(static_cast<std::size_t>(stride * kGroups * kIn / 128), 1e30f);
    for (int block = 0; block < kGroups * kIn / 128; ++block) {
      for (int r = 0; r < rows; ++r) {
        scales[static_cast<std::size_t>(block * stride + r)] = power(r, block);
      }
    }
    const Fp8Args args{.rows = rows,
                       .groups = kGroups,
                       .in = kIn,
                       .out = 128,
                       .x = {nullptr, scales.data(), stride}};
    const ScaleTiles tiles = x_scale_tiles(args);
    CHECK(tiles.group_bytes() == (rows + 127) / 128 * 128 * kIn / 32);
    CHECK(tiles.bytes() == kGroups * tiles.group_bytes());
    const auto bytes = write(tiles, [&](std::int64_t i) { return x_scale_line(args, i); });
    int wrong = 0, seen = 0;
    for (int g = 0; g < kGroups; ++g) {
      for (std::int64_t i = 0; i < tiles.group_bytes(); ++i) {
        const Scale at = documented(i, kIn / 32);
        const std::uint8_t code = bytes[static_cast<std::size_t>(g * tiles.group_bytes() + i)];
        if (at.row >= rows) {
          wrong += code != 0;
          continue;
        }
        const int block = g * kIn / 128 + at.group_of_32 / 4;
        wrong += ue8m0_to_float(code) != power(at.row, block);
        ++seen;
      }
    }
    CHECK(wrong == 0);
    CHECK(seen == kGroups * rows * kIn / 32);
  }
}

TEST_CASE("mxfp8 scales: a block of 128 x 128 weights fills its tile") {
  constexpr int kGroups = 2, kIn = 384, kOut = 256;
  std::vector<float> scales;
  for (int g = 0; g < kGroups; ++g) {
    for (int n = 0; n < kOut / 128; ++n) {
      for (int k = 0; k < kIn / 128; ++k) scales.push_back(power(10 * g + n, k));
    }
  }
  const Fp8Args args{
      .rows = 1, .groups = kGroups, .in = kIn, .out = kOut, .w = {nullptr, scales.data()}};
  const ScaleTiles tiles = w_scale_tiles(args);
  CHECK(tiles.bytes() == kGroups * kOut * kIn / 32);
  const auto bytes = write(tiles, [&](std::int64_t i) { return w_scale_line(args, i); });
  int wrong = 0;
  for (int g = 0; g < kGroups; ++g) {
    for (std::int64_t i = 0; i < tiles.group_bytes(); ++i) {
      const Scale at = documented(i, kIn / 32);
      const float expected = power(10 * g + at.row / 128, at.group_of_32 / 4);
      wrong +=
          ue8m0_to_float(bytes[static_cast<std::size_t>(g * tiles.group_bytes() + i)]) != expected;
    }
  }
  CHECK(wrong == 0);
  CHECK(mxfp8_scales_bytes(args) ==
        static_cast<std::size_t>(tiles.bytes() + kGroups * 128 * kIn / 32));
}

TEST_CASE("mxfp8 scales: the code of a power of two, also of the smallest") {
  CHECK(scale_word(1.0f) == 0x7f7f7f7fu);
  CHECK(scale_word(0.25f) == 0x7d7d7d7du);
  CHECK(scale_word(ue8m0_to_float(254)) == 0xfefefefeu);
  CHECK(scale_word(ue8m0_to_float(1)) == 0x01010101u);
  CHECK(scale_word(ue8m0_to_float(0)) == 0);
}

}  // namespace
}  // namespace v4cap::kernels::linear
