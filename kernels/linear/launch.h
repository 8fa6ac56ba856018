// What the versions of the projections decide from shapes alone: which arguments they take, and how
// the weight-streaming version divides its work.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/formats/host_device.h"
#include "kernels/linear/linear.h"

namespace v4cap::kernels::linear {

inline std::string refuses_operands(const Fp8Args& args) {
  if (args.in <= 0 || args.out <= 0 || args.groups <= 0) return "nothing to multiply";
  if (args.x.scale_stride < args.rows) return "scales of x overlap";
  if (args.in % 128 != 0 || args.out % 128 != 0) return "in or out is not a multiple of 128";
  if (args.y_stride % 2 != 0) return "rows of y are at odd elements";
  if (args.y_stride < std::int64_t{args.groups} * args.out) return "rows of y overlap";
  return "";
}

inline std::string refuses_operands(const Bf16Args& args) {
  if (args.in <= 0 || args.out <= 0) return "nothing to multiply";
  if (args.x_stride < args.in) return "rows of x overlap";
  if (args.in % 64 != 0) return "in is not a multiple of 64";
  if (args.out % 8 != 0) return "out is not a multiple of 8";
  if (args.x_stride % 8 != 0) return "rows of x are not 16-byte aligned";
  if (args.y_stride % 2 != 0) return "rows of y are at odd elements";
  if (args.y_stride < args.out) return "rows of y overlap";
  return "";
}

// Groups that cuBLASLt multiplies one after the other must fill the GPU each.
inline constexpr int kRowsOfGroupAlone = 1024;

// cuBLASLt's block-scaled products take the scales only where they lie without gaps.
inline std::string refuses_block_scales(const Fp8Args& args) {
  const std::string refusal = refuses_operands(args);
  if (!refusal.empty()) return refusal;
  if (args.in % 512 != 0) return "rows of W's scales are not a multiple of 4";
  if (args.x.scale_stride != args.rows) return "rows are not a multiple of 4";
  if (args.groups > 1 && args.rows < kRowsOfGroupAlone) return "too few rows for a group alone";
  if (args.y_stride % 8 != 0) return "rows of y are not 16-byte aligned";
  return "";
}

inline constexpr int kStreamMaxCluster = 16;  // CTAs that reach each other's shared memory

// How the weight-streaming version cuts its work: every CTA takes an equal run of units, a unit
// being one block of 128 bytes of K of one tile of W's rows, tile after tile. A tile whose units
// belong to several CTAs is put together by whichever of them comes last, always in the order of
// the CTAs.
struct StreamDivision {
  int tiles = 0, blocks = 0;  // blocks: of one tile
  int ctas = 0;

  V4CAP_HD constexpr int units() const { return tiles * blocks; }
  V4CAP_HD constexpr int begin(int cta) const { return cta * units() / ctas; }
  V4CAP_HD constexpr int owner(int unit) const { return ((unit + 1) * ctas - 1) / units(); }
  // CTAs of every tile, when these are equally many and reach each other's shared memory; else 0.
  constexpr int sharers() const {
    return ctas % tiles == 0 && ctas / tiles <= kStreamMaxCluster ? ctas / tiles : 0;
  }
};

// The units of one CTA in the order it takes them: tile after tile; within its part of a tile from
// block `stagger` times the CTA on and around. Staggered CTAs do not all ask for the same block of
// x at one time, which costs more than it saves where x is very small.
struct StreamWalk {
  StreamDivision division;
  int shift;
  int unit, end;           // first of this tile's, and of all
  int tile, first, count;  // this CTA's blocks of the tile
  int left, offset;        // of these

  V4CAP_HD constexpr StreamWalk(const StreamDivision& d, int of_cta, int stagger)
      : division(d),
        shift(of_cta * stagger),
        unit(d.begin(of_cta)),
        end(d.begin(of_cta + 1)),
        tile(0),
        first(0),
        count(0),
        left(0),
        offset(0) {
    enter();
  }
  V4CAP_HD constexpr bool done() const { return unit == end; }
  V4CAP_HD constexpr int block() const { return first + offset; }
  V4CAP_HD constexpr bool whole() const { return count == division.blocks; }
  V4CAP_HD constexpr bool last_of_tile() const { return left == 1; }
  V4CAP_HD constexpr void advance() {
    if (++offset == count) offset = 0;
    if (--left > 0) return;
    unit += count;
    enter();
  }

 private:
  V4CAP_HD constexpr void enter() {
    if (unit == end) return;
    tile = unit / division.blocks;
    first = unit - tile * division.blocks;
    const int of_tile = division.blocks - first;
    count = end - unit < of_tile ? end - unit : of_tile;
    left = count;
    offset = shift % count;
  }
};

inline constexpr int kStreamMaxRows = 64;
inline constexpr int kStreamMaxCtas = 132;

// Rows of x as the tensor cores take them, and rows of W in a tile: more where x is large, so that
// it is read less often.
constexpr int stream_columns(int rows) {
  return rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : 64;
}
constexpr int stream_tile(int rows) {
  return rows <= 16 ? 64 : 128;
}
constexpr std::int64_t stream_units(int rows, std::int64_t outs, std::int64_t in_bytes) {
  return (outs + stream_tile(rows) - 1) / stream_tile(rows) * (in_bytes / 128);
}
// As many CTAs as there are SMs, or up to a third fewer if that lets every CTA take whole tiles, or
// every tile belong to equally many CTAs: memory is as busy, and fewer sums are put together. With
// many tiles each that matters little, and all SMs are used.
constexpr StreamDivision stream_division(int rows, std::int64_t outs, std::int64_t in_bytes,
                                         int multiprocessors) {
  const auto units = static_cast<int>(stream_units(rows, outs, in_bytes));
  const int blocks = static_cast<int>(in_bytes / 128);
  const int tiles = units / blocks;
  const int most = std::min(multiprocessors, kStreamMaxCtas);
  for (int ctas = most; tiles < 4 * most && 3 * ctas >= 2 * most; --ctas) {
    const bool equal = ctas % tiles == 0 && ctas / tiles <= kStreamMaxCluster;
    if (ctas <= units && (equal || tiles % ctas == 0)) return {tiles, blocks, ctas};
  }
  return {tiles, blocks, std::min(units, most)};
}
// Two unfinished tiles in float for every CTA, on whatever GPU.
constexpr std::size_t stream_workspace(int rows, std::int64_t outs, std::int64_t in_bytes) {
  const std::int64_t ctas =
      std::min<std::int64_t>(stream_units(rows, outs, in_bytes), kStreamMaxCtas);
  return static_cast<std::size_t>(ctas * 2 * 4 * stream_tile(rows) * stream_columns(rows));
}

inline std::string refuses_stream(int rows, std::int64_t outs, std::int64_t in_bytes) {
  if (rows > kStreamMaxRows) return "more than 64 rows";
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (stream_units(rows, outs, in_bytes) * kStreamMaxCtas >= kMost) return "W is beyond 100 GB";
  return "";
}
inline std::string refuses_stream(const Fp8Args& args) {
  const std::string refusal = refuses_operands(args);
  return refusal.empty() ? refuses_stream(args.rows, std::int64_t{args.groups} * args.out, args.in)
                         : refusal;
}
inline std::string refuses_stream(const Bf16Args& args) {
  const std::string refusal = refuses_operands(args);
  return refusal.empty() ? refuses_stream(args.rows, args.out, 2 * std::int64_t{args.in}) : refusal;
}

// The order in which the large FP8 product goes through its tiles of y: within a group, bands of
// kBand tiles of rows; within a band, column by column. What runs at one time is then about as wide
// as high, and re-reads x and W from L2.
struct TileOrder {
  static constexpr int kBand = 16;
  int down = 0, across = 0, groups = 0;  // tiles

  struct Place {
    int group, down, across;
  };
  V4CAP_HD constexpr int count() const { return down * across * groups; }
  V4CAP_HD constexpr Place at(int item) const {
    const int group = item / (down * across);
    const int within = item - group * (down * across);
    const int band = within / (kBand * across);
    const int left = down - band * kBand;
    const int height = left < kBand ? left : kBand;
    const int of_band = within - band * kBand * across;
    return {group, band * kBand + of_band % height, of_band / height};
  }
};

inline std::string refuses_gemm(const Fp8Args& args) {
  const std::string refusal = refuses_operands(args);
  if (!refusal.empty()) return refusal;
  if (args.x.scale_stride % 4 != 0) return "scales of x are not 16-byte aligned";
  if (args.y_stride % 8 != 0) return "rows of y are not 16-byte aligned";
  return "";
}

}  // namespace v4cap::kernels::linear
