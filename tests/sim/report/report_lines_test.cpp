// The report on the terminal.
#include "sim/report/report_lines.h"

#include <doctest/doctest.h>

#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("report lines: the front holds what no other point beats in both") {
  const std::vector<ParetoPoint> points = {
      {"slow", 10, 100}, {"middle", 50, 60},           {"beaten", 40, 60},
      {"quick", 90, 10}, {"unsteady", 95, 900, false}, {"again", 50, 60}};
  CHECK(pareto_front(points) == std::vector<std::size_t>{0, 1, 3});
  CHECK(pareto_front({}).empty());
}

TEST_CASE("report lines: the chart names the front and marks what has no steady state") {
  const std::string chart =
      pareto_chart({{"a\x1b[31m", 10, 100}, {"b", 90, 10}, {"c", 95, 90, false}});
  CHECK(holds(chart, "  a  a[31m: 10.0 tok/s per user, 100.0 tok/s per GPU\n"));
  CHECK(holds(chart, "  b  b: 90.0 tok/s per user"));
  CHECK(holds(chart, "  x  no steady state\n"));
  CHECK_FALSE(holds(chart, "\x1b"));
  CHECK(pareto_chart({{"one", 1, 1}}) == "");
  CHECK(pareto_chart({{"none", 0, 0}, {"none", 0, 0}}) == "");
}

TEST_CASE("report lines: memory over the run as a line") {
  const TempDir dir;
  Report report = read_report({write_folder(dir, "run", {})});
  // 0.25 GiB of 2, from half of the time on 1 GiB, at the end 1.5.
  std::string eighths;
  for (int i = 0; i < 24; ++i) eighths += "▁";
  for (int i = 24; i < 47; ++i) eighths += "▄";
  CHECK(occupancy_lines(report.runs) ==
        "KV memory of one GPU over the run\n  chat                          " + eighths +
            "▆  peak 1.50 of 2.00 GiB\n");
}

TEST_CASE("report lines: a sweep's points are called by the axes that vary") {
  const TempDir dir;
  const std::string csv = dir.write(
      "points.csv",
      "position,key,kv_cache.swa_policy,engine.max_running,seed,status,hit_rate,tpot_ms.p50,"
      "tok_s_per_gpu.output,saturated\n"
      "0,a1,full,16,1,done,0.5,20,100,false\n"
      "1,b2,full,32,1,done,0.5,40,150,false\n"
      "2,c3,full,64,1,done,0.2,80,170,true\n"
      "3,d4,full,128,1,infeasible,,,,\n");
  for (const std::string& path : {csv, dir.path()}) {
    const Report report = read_report({path});
    REQUIRE(report.sweeps.size() == 1);
    CHECK(axes_of(report.sweeps[0].table) == std::vector<std::size_t>{2, 3, 4});
    const std::vector<ParetoPoint> points = pareto_points(report);
    REQUIRE(points.size() == 3);
    CHECK(points[1].label == "max_running=32");
    CHECK(points[1].interactivity == 25);
    CHECK_FALSE(points[2].steady);
  }
}

TEST_CASE("report lines: an axis has as much of its name as tells it from the others") {
  const TempDir dir;
  const Report report = read_report({dir.write(
      "points.csv",
      "kv_cache.tiers.host.times_gpu,kv_cache.tiers.ssd.times_gpu,swa_policy,a.x,b.a.x,status,hit_"
      "rate,tpot_ms.p50,tok_s_per_gpu.output\n"
      "2,8,full,1,1,done,0.5,20,100\n10,90,full,1,1,done,0.5,40,150\n")});
  const DataTable& table = report.sweeps[0].table;
  const std::vector<std::string> names = {"host.times_gpu", "ssd.times_gpu", "swa_policy", "a.x",
                                          "b.a.x"};
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(short_axis_name(table, i) == names[i]);
  CHECK(pareto_points(report)[1].label == "host.times_gpu=10, ssd.times_gpu=90");
}

TEST_CASE("report lines: the folder of several plans is read plan by plan") {
  const TempDir dir;
  for (const std::string plan : {"agents", "batch"}) {
    dir.write(plan + "/plan.json", "{}");
    dir.write(plan + "/runs.csv", "swa_policy,load,met,hit_rate\nfull,1,true,0.5\n");
    dir.write(plan + "/deployments.csv", "swa_policy,gpus,held\nfull,8,4\n");
  }
  CHECK_THROWS_AS(read_report({dir.path()}), InputError);
  dir.write("plans.json", "{}");
  const Report report = read_report({dir.path()});
  REQUIRE(report.plans.size() == 2);
  CHECK(report.plans[1].label == "batch");
  REQUIRE(report.sweeps.size() == 4);
  CHECK(report.sweeps[3].label == "batch, deployments");
}
