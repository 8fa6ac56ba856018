// The scale tensors of cuBLASLt's MXFP8 products (UE8M0, one for 32 channels of a row), made from
// ours.
//
// The library reads tiles of 128 rows x 4 groups of 32 channels, 512 bytes each, the tiles of 128
// rows side by side along the channels. In a tile, row r and group g are at
//   r % 32 * 16 + r / 32 * 4 + g,
// so that 16 bytes (a line) hold rows l, l + 32, l + 64, l + 96. Tiles are whole: what lies beyond
// the last row is zero. A tile spans just 128 channels, which share one scale in our formats:
//   x   a word of four equal bytes for a row          (our 1 x 128 scales)
//   w   a tile of 512 equal bytes                     (our 128 x 128 scales)
// Source: NVIDIA, cuBLAS 13 documentation, 1D block scaling factors layout.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/formats/host_device.h"
#include "kernels/formats/matrices.h"
#include "kernels/linear/linear.h"

namespace v4cap::kernels::linear {

inline constexpr int kScaleTileRows = 128;
inline constexpr int kScaleTileChannels = 128;
inline constexpr int kScaleTileLines = 32;
inline constexpr int kScaleLineBytes = 16;
inline constexpr int kScaleTileBytes = kScaleTileLines * kScaleLineBytes;

// 16 bytes of a tile.
struct alignas(16) ScaleLine {
  std::uint32_t words[4];
};

// Four times the UE8M0 code of a power of two.
V4CAP_HD constexpr std::uint32_t scale_word(float power_of_two) {
  return (bits_of(power_of_two) >> 23 & 0xffu) * 0x01010101u;
}

// The tensors of one product of each of `groups`: group after group, tile rows, tiles along K,
// lines.
struct ScaleTiles {
  std::int64_t down = 0, across = 0;  // tiles of a group
  std::int64_t groups = 0;

  V4CAP_HD constexpr std::int64_t group_bytes() const { return down * across * kScaleTileBytes; }
  V4CAP_HD constexpr std::int64_t bytes() const { return groups * group_bytes(); }
  V4CAP_HD constexpr std::int64_t lines() const { return bytes() / kScaleLineBytes; }
};

struct ScaleLinePlace {
  std::int64_t group, down, across;
  int line;
};
V4CAP_HD constexpr ScaleLinePlace place_of_line(const ScaleTiles& tiles, std::int64_t index) {
  const std::int64_t tile = index / kScaleTileLines, row_of_tiles = tile / tiles.across;
  return {row_of_tiles / tiles.down, row_of_tiles % tiles.down, tile % tiles.across,
          static_cast<int>(index % kScaleTileLines)};
}

V4CAP_HD constexpr ScaleTiles x_scale_tiles(const Fp8Args& args) {
  return {(args.rows + kScaleTileRows - 1) / kScaleTileRows, args.in / kScaleTileChannels,
          args.groups};
}
V4CAP_HD constexpr ScaleTiles w_scale_tiles(const Fp8Args& args) {
  return {args.out / kScaleTileRows, args.in / kScaleTileChannels, args.groups};
}

// Line `index` of the tensors of x, and of w.
V4CAP_HD constexpr ScaleLine x_scale_line(const Fp8Args& args, std::int64_t index) {
  const ScaleTiles tiles = x_scale_tiles(args);
  const ScaleLinePlace at = place_of_line(tiles, index);
  const float* scales = args.x.scales + (at.group * tiles.across + at.across) * args.x.scale_stride;
  ScaleLine line{};
  for (int j = 0; j < 4; ++j) {
    const std::int64_t row = at.down * kScaleTileRows + at.line + kScaleTileLines * j;
    if (row < args.rows) line.words[j] = scale_word(scales[row]);
  }
  return line;
}
V4CAP_HD constexpr ScaleLine w_scale_line(const Fp8Args& args, std::int64_t index) {
  // Our scales are in the order of the tiles.
  const std::uint32_t word = scale_word(args.w.scales[index / kScaleTileLines]);
  return {{word, word, word, word}};
}

// Behind what the library itself wants, in bytes: x's tensors, then w's.
constexpr std::size_t mxfp8_scales_bytes(const Fp8Args& args) {
  return static_cast<std::size_t>(x_scale_tiles(args).bytes() + w_scale_tiles(args).bytes());
}

}  // namespace v4cap::kernels::linear
