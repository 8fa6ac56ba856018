#include "sim/output/timeline.h"

#include <doctest/doctest.h>

#include "tests/golden.h"
#include "tests/sim/output/sample_run.h"

using namespace v4cap;

TEST_CASE("timeline: one row a sample, nanoseconds exact") {
  std::string text;
  write_timeline(sample_run().occupancy, [&](std::string_view piece) { text += piece; });
  check_golden("timeline.csv", text);
}

TEST_CASE("timeline: rows of ranks name their replica and rank, of a cluster and of one replica") {
  RunResult run = sample_run();
  const auto written = [&] {
    std::string text;
    write_rank_timelines(run, [&](std::string_view piece) { text += piece; });
    return text;
  };
  CHECK_FALSE(has_rank_timelines(run));
  run.ranks = {{run.occupancy[1]}, {run.occupancy[0], run.occupancy[1]}};
  CHECK(has_rank_timelines(run));
  CHECK(written().starts_with("replica,rank,time_s,running,waiting,"));
  CHECK(written().find("\n0,0,0.100000001,2,1,1000,") != std::string::npos);
  CHECK(written().find("\n0,1,0.000000000,0,0,0,") != std::string::npos);
  run.cluster.emplace();
  CHECK_FALSE(has_rank_timelines(run));
  run.cluster->replicas.resize(3);
  run.cluster->replicas[2].ranks = {{}, {run.occupancy[1]}};
  CHECK(has_rank_timelines(run));
  CHECK(written().find("\n2,1,0.100000001,2,1,1000,") != std::string::npos);
}
