// The worked example of several replicas, and the day that it points to.
#include <doctest/doctest.h>

#include "sim/app/scenario_options.h"
#include "sim/config/scenario_file.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/app/readme_run.h"

namespace v4cap {
namespace {

TEST_CASE("README: several replicas") {
  const ReadmeRun run = run_readme_section("## Several replicas");
  CHECK(run.commands == 1);
  CHECK(run.shown == 6);
}

TEST_CASE("cluster: a run writes what each replica did, and the same bytes twice") {
  const TempDir dir;
  const std::string scenario = std::string(V4CAP_SOURCE_DIR) + "/scenarios/fleet_faults.yaml";
  for (const std::string out : {"/a", "/b"}) {
    const ProgramRun run = run_v4cap({"simulate", scenario, "--out", dir.path() + out});
    CAPTURE(run.err);
    REQUIRE(run.code == ExitCode::done);
  }
  for (const std::string file : {"summary.json", "profile_export.jsonl", "timeline.csv",
                                 "timeline_replicas.csv", "windows.csv", "cluster_events.csv"}) {
    CAPTURE(file);
    const std::string text = file_text(dir.path() + "/a/" + file);
    CHECK(text.size() > 50);
    CHECK(text == file_text(dir.path() + "/b/" + file));
  }
  CHECK(file_text(dir.path() + "/a/cluster_events.csv")
            .find("150.000000000,1,\"lost\",3,1\n210.000000000,1,\"up\",0,0\n") !=
        std::string::npos);
  CHECK(file_text(dir.path() + "/a/summary.json").find("\"lost_requests\": 3") !=
        std::string::npos);
  CHECK(file_text(dir.path() + "/a/timeline_replicas.csv").find("\n3,") != std::string::npos);
}

// Its traces lie elsewhere and it takes a while: here only that it can be read.
TEST_CASE("cluster: the scenario of a day is valid") {
  ScenarioOptions options;
  options.find_traces = false;
  const Scenario day =
      load_named_scenario(std::string(V4CAP_SOURCE_DIR) + "/scenarios/fleet_day.yaml", options);
  CHECK(day.cluster.most_replicas() == 6);
  CHECK(day.cluster.faults.size() == 3);
  CHECK(day.workload.synthetic->rate_per_s == 0.002);  // rate_factor of the table
}

}  // namespace
}  // namespace v4cap
