// Top-k: the reference on rows worked by hand, what a right answer is, and how rows are cut.
#include "kernels/topk/topk.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/topk/launch.h"

namespace v4cap::kernels::topk {
namespace {

struct Rows {
  std::vector<float> scores{5, 1, 5, 3, 5,  -2,  //
                            9, 8, 7, 6, -1, -2,  // two of length 2
                            1, 2, 3, 4, 5,  6};
  std::vector<std::int32_t> lengths{6, 2, 6};
  std::vector<std::int32_t> selected = std::vector<std::int32_t>(12, -1);

  Args args() {
    return {.rows = 3,
            .k = 4,
            .scores = scores.data(),
            .stride = 6,
            .lengths = lengths.data(),
            .max_length = 6,
            .selected = selected.data()};
  }
};

TEST_CASE("topk: the reference gives the threshold and how many lie above it") {
  Rows rows;
  const Expected e = reference(rows.args());
  CHECK(e.threshold[0] == 3.0f);
  CHECK(e.above[0] == 3);
  CHECK(std::isinf(e.threshold[1]));
  CHECK(e.above[1] == 2);
  CHECK(e.threshold[2] == 3.0f);
  CHECK(e.above[2] == 3);
}

TEST_CASE("topk: ties at the threshold are not above it") {
  Rows rows;
  rows.scores = {7, 7, 7, 7, 7, 8, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2};
  const Expected e = reference(rows.args());
  CHECK(e.threshold[0] == 7.0f);
  CHECK(e.above[0] == 1);
  CHECK(e.above[2] == 0);
}

TEST_CASE("topk: a right answer passes in any order, every kind of wrong one is found") {
  Rows rows;
  rows.selected = {4, 0, 3, 2, 1, 0, -1, -1, 5, 4, 3, 2};
  const Expected e = reference(rows.args());
  std::vector<bool> seen;
  for (int row = 0; row < 3; ++row) CHECK(wrong(rows.args(), e, row, seen) == "");
  const auto fault = [&](std::vector<std::int32_t> first_row) {
    std::copy(first_row.begin(), first_row.end(), rows.selected.begin());
    return wrong(rows.args(), e, 0, seen);
  };
  CHECK(fault({4, 0, 3, 6}) == "a position is out of range");
  CHECK(fault({4, 0, 3, -1}) == "a position is out of range");
  CHECK(fault({4, 0, 3, 3}) == "a position is given twice");
  CHECK(fault({4, 0, 3, 1}) == "a score below the threshold is given");
  rows.selected[6] = 0;
  CHECK(wrong(rows.args(), e, 1, seen) == "an unused place is not -1");
  rows.scores[3] = 3;
  rows.scores[1] = 3;  // a tie: above the threshold only the three fives
  const Expected tied = reference(rows.args());
  rows.selected = {1, 3, 0, 2};
  CHECK(wrong(rows.args(), tied, 0, seen) == "a score above the threshold is missing");
}

TEST_CASE("topk: stepping visits every tile of a row once") {
  for (int tiles = 1; tiles < 300; ++tiles) {
    const int step = tile_step(tiles);
    std::vector<bool> visited(static_cast<std::size_t>(tiles), false);
    int tile = 0;
    for (int visit = 0; visit < tiles; ++visit) {
      CHECK_FALSE(visited[static_cast<std::size_t>(tile)]);
      visited[static_cast<std::size_t>(tile)] = true;
      tile = (tile + step) % tiles;
    }
  }
}

TEST_CASE("topk: sorted rows make few new records in visiting order") {
  const int tiles = 64, step = tile_step(tiles);
  int tile = 0, record = -1, records = 0;
  for (int visit = 0; visit < tiles; ++visit) {
    if (tile > record) ++records;
    record = std::max(record, tile);
    tile = (tile + step) % tiles;
  }
  CHECK(records <= 12);
}

TEST_CASE("topk: one block a row takes k up to 2048 and rows that do not overlap") {
  Rows rows;
  Args args = rows.args();
  CHECK(refuses_one_block(args) == "");
  args.k = 2048;
  CHECK(refuses_one_block(args) == "");
  args.k = 2049;
  CHECK(refuses_one_block(args) != "");
  args.k = 0;
  CHECK(refuses_one_block(args) != "");
  args = rows.args();
  args.stride = 5;
  CHECK(refuses_one_block(args) != "");
}

TEST_CASE("topk: a cluster has as many blocks as its longest row fills") {
  CHECK(cluster_blocks(1) == 1);
  CHECK(cluster_blocks(16384) == 1);
  CHECK(cluster_blocks(16385) == 2);
  CHECK(cluster_blocks(65536) == 4);
  CHECK(cluster_blocks(65537) == 8);
  CHECK(cluster_blocks(262144) == 16);
  for (int length = 1; length <= kClusterMostLength; length = length * 5 / 4 + 1) {
    CHECK(cluster_blocks(length) * kClusterBlockScores >= length);
  }
}

TEST_CASE("topk: clusters take few long rows only") {
  std::vector<std::int32_t> lengths(300, 262144);
  Args args{
      .rows = 16, .k = 1024, .stride = 262144, .lengths = lengths.data(), .max_length = 262144};
  CHECK(refuses_cluster(args) == "");
  args.rows = 17;  // 272 blocks
  CHECK(refuses_cluster(args) != "");
  CHECK(refuses_one_block(args) == "");
  args.rows = 1;
  args.max_length = 262145;
  CHECK(refuses_cluster(args) != "");
  args.max_length = 8192;
  CHECK(refuses_cluster(args) != "");
  args.max_length = 8193;
  CHECK(refuses_cluster(args) == "");
  args.k = 1025;
  CHECK(refuses_cluster(args) != "");
}

TEST_CASE("topk: what does not fit shared memory has room in the workspace") {
  // k groups and the slack hold all candidates; a group is 1/4096 of the longest row.
  CHECK(kClusterOverflow == (1024 + 256) * 64);
  Args args{.rows = 3, .k = 1024, .stride = 262144, .max_length = 262144};
  CHECK(cluster_workspace_bytes(args) == std::size_t{3} * (1024 + 256) * 64 * 8);
  args.max_length = 16384;  // one block: (1024 + 256) * 4 candidates at most
  CHECK(cluster_workspace_bytes(args) == 0);
}

}  // namespace
}  // namespace v4cap::kernels::topk
