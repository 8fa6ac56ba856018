// How the work of the experts' products is cut into items, the same on the host and the device: an
// item is a tile of 256 rows of one expert's weights times a tile of at most 64 of its token rows.
// The number of rows of an expert is known to the device only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/experts/experts.h"
#include "kernels/formats/host_device.h"

namespace v4cap::kernels::experts {

inline constexpr int kTileRows = 256;  // rows of weights: 128 gate and 128 up, or 256 of W2
inline constexpr int kTileTokens = 64;
inline constexpr int kTileTokensSm100a = 96;  // two tiles' sums and their scales fit tensor memory
inline constexpr int kStageDepth = 256;       // channels of K that a pipeline stage holds
inline constexpr int kMaxExperts = 512;

// Token tiles of an expert with `rows` rows, and how many rows each but the last has.
// A tile has at most `most` rows, a multiple of 8.
V4CAP_HD constexpr int token_tiles(int rows, int most = kTileTokens) {
  return (rows + most - 1) / most;
}
V4CAP_HD constexpr int rows_of_tile(int rows, int most = kTileTokens) {
  const int tiles = token_tiles(rows, most);
  const int each = tiles == 0 ? 0 : (rows + tiles - 1) / tiles;
  return (each + 7) / 8 * 8;
}
// Columns of the matrix product that a tile of `rows` token rows is computed with.
V4CAP_HD constexpr int columns_for(int rows) {
  return rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 32 ? 32 : 64;
}

inline std::string refuses(int experts, int hidden, int intermediate) {
  if (experts < 1 || experts > kMaxExperts) return "not 1..512 local experts";
  if (hidden % kStageDepth != 0) return "hidden is not a multiple of 256";
  if (intermediate % kStageDepth != 0) return "intermediate is not a multiple of 256";
  // Rows of weights are counted in 32 bits.
  if (std::int64_t{experts} * std::max(2 * intermediate, hidden) > 0x7fffffff) return "too large";
  return "";
}
inline std::string refuses(const GateUpArgs& args) {
  return refuses(args.experts, args.hidden, args.intermediate);
}
inline std::string refuses(const DownArgs& args) {
  return refuses(args.experts, args.hidden, args.intermediate);
}

}  // namespace v4cap::kernels::experts
