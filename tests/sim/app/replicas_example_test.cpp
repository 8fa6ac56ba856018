// The worked example of several replicas, and the day that it points to.
#include <doctest/doctest.h>

#include <boost/json.hpp>

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

TEST_CASE("README: prompts read by replicas of their own") {
  const ReadmeRun run = run_readme_section("## Prompts read by replicas of their own");
  CHECK(run.commands == 2);
  CHECK(run.shown == 7);
}

TEST_CASE("handover: a run says what was sent, in every file") {
  const TempDir dir;
  const std::string scenario = std::string(V4CAP_SOURCE_DIR) + "/scenarios/prefill_decode.yaml";
  for (const std::string out : {"/a", "/b"}) {
    const ProgramRun run = run_v4cap({"simulate", scenario, "--out", dir.path() + out, "--set",
                                      "workload.synthetic.sessions=400"});
    CAPTURE(run.err);
    REQUIRE(run.code == ExitCode::done);
  }
  for (const std::string file :
       {"summary.json", "profile_export.jsonl", "timeline.csv", "timeline_replicas.csv"}) {
    CAPTURE(file);
    CHECK(file_text(dir.path() + "/a/" + file) == file_text(dir.path() + "/b/" + file));
  }
  const boost::json::value summary = boost::json::parse(file_text(dir.path() + "/a/summary.json"));
  const boost::json::value& cluster = summary.at("cluster");
  const boost::json::value& sent = cluster.at("transfer");
  CHECK(sent.at("requests").as_int64() > 380);
  CHECK(sent.at("sent_bytes").at("swa").as_int64() > 0);
  CHECK(sent.at("sent_bytes").at("tails").as_int64() > 0);
  CHECK(sent.at("dropped_bytes").as_int64() == 0);
  CHECK(sent.at("in_utilisation").as_double() > sent.at("out_utilisation").as_double());
  CHECK_FALSE(cluster.at("replicas").at(0).at("reads_prompts").as_bool());
  CHECK(cluster.at("replicas").at(3).at("reads_prompts").as_bool());
  // Without faults each state that was sent is of a prompt that was read once.
  std::int64_t prompts_read = 0;
  for (const auto& replica : cluster.at("replicas").as_array()) {
    prompts_read += replica.at("prompts_read").as_int64();
  }
  CHECK(prompts_read == sent.at("requests").as_int64());
  // Sixteen GPUs for as long as the run lasts.
  CHECK(cluster.at("gpu_hours").as_double() ==
        doctest::Approx(cluster.at("replicas").at(0).at("held_s").as_double() * 16 / 3600));
  const std::string records = file_text(dir.path() + "/a/profile_export.jsonl");
  CHECK(records.find("\"prefill_replica\"") != std::string::npos);
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
