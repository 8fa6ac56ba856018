// Runs as the report reads them: columns, labels, and whether their figures are of a steady state.
#include "sim/report/report_run.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "sim/core/error.h"
#include "sim/report/report_lines.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

const std::string kSource = V4CAP_SOURCE_DIR;

std::vector<std::string> labels(const std::vector<std::string>& folders) {
  std::vector<ReportRun> runs;
  for (const std::string& folder : folders) runs.push_back(read_report_run(folder));
  label_runs(runs);
  std::vector<std::string> names;
  for (const ReportRun& run : runs) names.push_back(run.label);
  return names;
}

}  // namespace

TEST_CASE("report run: columns of requests and of the time line") {
  const TempDir dir;
  const ReportRun run = read_report_run(write_folder(dir, "run", {}));
  CHECK(run.requests.rows == 40);
  CHECK(run.requests.kept == 40);
  CHECK(run.requests.find("start_s")->at(3) == 1.5);
  CHECK(run.requests.find("ttft_ms")->at(3) == 103);
  CHECK(run.requests.find("hit")->at(3) == 50);
  CHECK(std::isnan(run.requests.find("queue_ms")->at(3)));
  CHECK(run.requests.find("nothing") == nullptr);
  CHECK(run.timeline.find("running")->at(1) == 2);
  CHECK(run.steady.holds);
  CHECK(*run.tpot_p50_ms == 20);
}

TEST_CASE("report run: a refused request keeps its arrival and its prompt") {
  const TempDir dir;
  const std::string folder = write_folder(dir, "run", {});
  dir.write(
      "run/profile_export.jsonl",
      requests_text(0.5) +
          R"({"metadata":{"x_request_id":"r99","request_start_ns":7000000000,"request_end_ns":7000000000,)"
          R"("benchmark_phase":"profiling"},"metrics":{"error_isl":{"value":900,"unit":"tokens"}},)"
          R"("error":{"code":400}})"
          "\n");
  const ReportRun run = read_report_run(folder);
  CHECK(run.requests.rows == 41);
  CHECK(run.requests.find("isl")->back() == 900);
  CHECK(std::isnan(run.requests.find("e2el_ms")->back()));
}

TEST_CASE("report run: no steady state where a run was saturated, a burst or short") {
  const TempDir dir;
  const auto why = [&](const RunText& text, double gap_s, const std::string& yaml = "") {
    const std::string folder = write_folder(dir, "run", text, gap_s);
    if (!yaml.empty()) dir.write("run/scenario.resolved.yaml", yaml);
    const ReportRun run = read_report_run(folder);
    CHECK(run.steady.holds == run.steady.why.empty());
    return run.steady.why.substr(0, run.steady.why.find(':'));
  };
  CHECK(why({}, 0.5) == "");
  CHECK(why({.saturated = true}, 0.5) == "the run is saturated");
  // 39 gaps and then a second: at half of the time the last request has come.
  CHECK(why({}, 0.02) == "the run is a finite burst");
  CHECK(why({}, 1.0 / 38) == "");
  CHECK(why({}, 0.5, "workload:\n  arrivals:\n    mode: burst\n") == "the run is a finite burst");
  dir.write("run/profile_export.jsonl", aiperf_line({.id = "a", .ttft_ms = 1, .e2el_ms = 2}));
  CHECK(read_report_run(dir / "run").steady.why.starts_with("only 1 requests finished"));
}

TEST_CASE("report run: the SLO and the profile come from the resolved scenario") {
  const TempDir dir;
  const std::string folder = write_folder(dir, "run", {});
  dir.write("run/scenario.resolved.yaml",
            "profile: b200-sglang-0.5.14\nslo:\n  ttft_p99: 2 s\n  tpot_p99: none\n");
  const ReportRun run = read_report_run(folder);
  CHECK(*run.slo_ttft_p99_ms == 2000);
  CHECK_FALSE(run.slo_tpot_p99_ms.has_value());
  REQUIRE(run.profile.has_value());
  CHECK(run.profile->device == "NVIDIA B200");
  CHECK(run.profile->families.size() > 5);
}

TEST_CASE("report run: time lines of attention ranks add up to that of the run") {
  const TempDir dir;
  const ProgramRun simulated = run_v4cap(
      {"simulate", kSource + "/scenarios/quickstart.yaml", "--quiet", "--out", dir / "run", "--set",
       "deployment.tensor_parallel=2", "--set", "deployment.data_parallel=4"});
  REQUIRE(simulated.code == ExitCode::done);
  const ReportRun run = read_report_run(dir / "run");
  CHECK(run.replicas.kept == 0);
  CHECK(run.events.empty());
  CHECK(run.requests.find("replica") == nullptr);
  // Both are thinned evenly, the ranks more: their instants are among those of the run.
  std::map<double, double> run_bytes, rank_bytes;
  std::map<double, std::set<double>> ranks_at;
  const auto bytes = [](const ColumnSet& set, std::size_t i) {
    double sum = 0;
    for (const ColumnSet::Column& column : set.columns) {
      if (column.name.ends_with("_bytes")) sum += column.figures[i];
    }
    return sum;
  };
  const std::vector<double>&times = *run.timeline.find("time_s"), &at = *run.ranks.find("time_s"),
        &rank = *run.ranks.find("rank");
  for (std::size_t i = 0; i < times.size(); ++i) run_bytes[times[i]] = bytes(run.timeline, i);
  for (std::size_t i = 0; i < at.size(); ++i) {
    rank_bytes[at[i]] += bytes(run.ranks, i);
    CHECK(ranks_at[at[i]].insert(rank[i]).second);
  }
  CHECK(rank_bytes.size() > 200);
  CHECK(rank_bytes.size() <= 512);
  std::size_t shared = 0;
  for (const auto& [time, sum] : rank_bytes) {
    CHECK(ranks_at.at(time).size() == 4);
    const auto whole = run_bytes.find(time);
    if (whole == run_bytes.end()) continue;
    ++shared;
    CHECK(sum == whole->second);
  }
  CHECK(shared > 100);
}

TEST_CASE("report run: replicas of a cluster, what happened to them, and who ended a request") {
  const TempDir dir;
  const ProgramRun simulated = run_v4cap(
      {"simulate", kSource + "/scenarios/fleet_faults.yaml", "--quiet", "--out", dir / "run"});
  REQUIRE(simulated.code == ExitCode::done);
  const ReportRun run = read_report_run(dir / "run");
  const std::vector<double>& replica = *run.replicas.find("replica");
  CHECK(std::set<double>(replica.begin(), replica.end()) == std::set<double>{0, 1, 2, 3});
  CHECK(run.ranks.kept == 0);
  CHECK(run.windows.find("hit_rate")->size() > 10);
  REQUIRE(run.events.size() == 5);
  CHECK(run.events[0].what == "lost");
  CHECK(run.events[0].time_s == 150);
  CHECK(run.events[0].replica == 1);
  CHECK(run.events[0].lost_requests == 3);
  CHECK(run.events[0].disturbs);
  CHECK(run.events[1].what == "up");
  CHECK_FALSE(run.events[1].disturbs);
  std::map<double, int> ended;
  for (const double n : *run.requests.find("replica")) ++ended[n];
  CHECK(ended == std::map<double, int>{{0, 264}, {1, 173}, {2, 175}, {3, 217}});
  double retries = 0;
  for (const double n : *run.requests.find("retries")) retries += n;
  CHECK(retries == 3);
  const Report report{.runs = {run}};
  CHECK(occupancy_lines(report.runs).find("summed over replicas") != std::string::npos);
}

TEST_CASE("report run: labels say what differs") {
  const TempDir dir;
  const std::string a = write_folder(dir, "a", {}),
                    b = write_folder(dir, "b", {.policy = "recompute"}),
                    c = write_folder(dir, "c", {}), d = write_folder(dir, "sub/c", {});
  using Names = std::vector<std::string>;
  CHECK(labels({a}) == Names{"chat"});
  CHECK(labels({a, b}) == Names{"full", "recompute"});
  CHECK(labels({a, c}) == Names{"a", "c"});
  CHECK(labels({c, d}) == Names{"c", "c (2)"});
}

TEST_CASE("report run: a broken file is refused with its place") {
  const TempDir dir;
  const std::string folder = write_folder(dir, "run", {});
  const auto refused = [&](const std::string& file, const std::string& text) -> std::string {
    dir.write("run/" + file, text);
    try {
      read_report_run(folder);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK(refused("timeline.csv", "time_s,running\n0,x\n").find(":2: expected a number") !=
        std::string::npos);
  CHECK(refused("timeline.csv", "running\n1\n").find("expected a column 'time_s'") !=
        std::string::npos);
  dir.write("run/timeline.csv", kTimeline);
  CHECK(refused("timeline_replicas.csv", kTimeline).find("expected a column 'replica'") !=
        std::string::npos);
  std::filesystem::remove(folder + "/timeline_replicas.csv");
  CHECK(refused("cluster_events.csv", "time_s,replica,what,lost_requests\n1,0,lost,0\n")
            .find("expected a column 'disturbs'") != std::string::npos);
  CHECK(refused("cluster_events.csv", "time_s,replica,what,lost_requests,disturbs\nx,0,lost,0,1\n")
            .find("expected a column 'time_s' of numbers") != std::string::npos);
  CHECK(refused("cluster_events.csv", "time_s,replica,what,lost_requests,disturbs\n") ==
        "accepted");
  std::filesystem::remove(folder + "/cluster_events.csv");
  CHECK(refused("summary.json", "[1]").find("expected the summary of a run") != std::string::npos);
  CHECK(refused("summary.json", "{\"scenario\": ").find("summary.json:2:1: expected") !=
        std::string::npos);
}
