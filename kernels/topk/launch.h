// How top-k is launched, and how a given answer is judged.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/formats/host_device.h"
#include "kernels/topk/topk.h"

namespace v4cap::kernels::topk {

// One block a row, which keeps the candidates it has met so far in shared memory.
inline constexpr int kRowThreads = 512;
inline constexpr int kRowTile = 4096;        // scores between two synchronisations
inline constexpr int kRowCandidates = 6144;  // at least kRowMostK + kRowTile
inline constexpr int kRowMostK = kRowCandidates - kRowTile;

// Scores that grow or fall along the row would make every tile a new record; tiles are therefore
// visited in steps of about the golden section, for which records are rare. The step shares no
// divisor with `tiles`, so that every tile is visited once.
V4CAP_HD constexpr int tile_step(int tiles) {
  int step = static_cast<int>(static_cast<std::int64_t>(tiles) * 618 / 1000);
  if (step < 1) return 1;
  while (true) {
    int a = tiles, b = step;
    while (b != 0) {
      const int rest = a % b;
      a = b;
      b = rest;
    }
    if (a == 1) return step;
    ++step;
  }
}

// A cluster of blocks a row, the row spread over their registers.
inline constexpr int kClusterBlocks = 16;  // at most
inline constexpr int kClusterThreads = 1024;
inline constexpr int kClusterPerThread = 16;
inline constexpr int kClusterGroups = 4096;
inline constexpr int kClusterMostK = 1024;
inline constexpr int kClusterBlockScores = kClusterThreads * kClusterPerThread;
inline constexpr int kClusterMostLength = kClusterBlocks * kClusterBlockScores;
// No more than k groups and these hold scores above the bound.
inline constexpr int kClusterSlack = 256;
inline constexpr int kClusterOverflow =
    (kClusterMostK + kClusterSlack) * (kClusterMostLength / kClusterGroups);
inline constexpr std::size_t kClusterOverflowBytes = std::size_t{kClusterOverflow} * 8;

constexpr int cluster_blocks(int max_length) {
  int blocks = 1;
  while (blocks < kClusterBlocks && blocks * kClusterBlockScores < max_length) blocks *= 2;
  return blocks;
}

inline std::string refuses_common(const Args& args) {
  if (args.k < 1) return "k is not positive";
  if (args.stride < args.max_length) return "rows overlap";
  return "";
}

inline std::string refuses_one_block(const Args& args) {
  if (args.k > kRowMostK) return "k is beyond 2048";
  return refuses_common(args);
}

// Clusters pay while rows are few and long: with more blocks than twice a large GPU's
// multiprocessors, or a row that is two tiles of one block, a block a row takes less.
inline constexpr int kClusterMostBlocks = 264;
inline constexpr int kClusterLeastLength = 2 * kRowTile + 1;

inline std::string refuses_cluster(const Args& args) {
  if (args.k > kClusterMostK) return "k is beyond 1024";
  if (args.max_length > kClusterMostLength) return "rows are beyond 262144";
  if (args.max_length < kClusterLeastLength) return "rows are short: a block a row is faster";
  if (std::int64_t{args.rows} * cluster_blocks(args.max_length) > kClusterMostBlocks) {
    return "rows are many: a block a row is faster";
  }
  return refuses_common(args);
}
// Candidates that shared memory cannot hold; those of a single block it always can.
inline std::size_t cluster_workspace_bytes(const Args& args) {
  if (cluster_blocks(args.max_length) == 1) return 0;
  return static_cast<std::size_t>(args.rows) * kClusterOverflowBytes;
}

// Whether an answer holds what it must, each row looked at alone:
// "" or what is wrong with the first bad row.
inline std::string wrong(const Args& args, const Expected& expected, std::int64_t row,
                         std::vector<bool>& seen) {
  const std::int32_t* selected = args.selected + row * args.k;
  const float* scores = args.scores + row * args.stride;
  const std::int32_t length = args.lengths[row];
  const int count = std::min(args.k, length);
  const float threshold = expected.threshold[static_cast<std::size_t>(row)];
  seen.assign(static_cast<std::size_t>(length), false);
  int above = 0;
  for (int i = 0; i < args.k; ++i) {
    const std::int32_t j = selected[i];
    if (i >= count) {
      if (j != -1) return "an unused place is not -1";
      continue;
    }
    if (j < 0 || j >= length) return "a position is out of range";
    if (seen[static_cast<std::size_t>(j)]) return "a position is given twice";
    seen[static_cast<std::size_t>(j)] = true;
    if (scores[j] < threshold) return "a score below the threshold is given";
    if (scores[j] > threshold) ++above;
  }
  if (above != expected.above[static_cast<std::size_t>(row)]) {
    return "a score above the threshold is missing";
  }
  return "";
}

}  // namespace v4cap::kernels::topk
