// The times of logged steps beside those of a cost model and of another log, made so that every
// error is known.
#include "sim/compare/step_times.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <cmath>
#include <sstream>

#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "sim/output/steps_file.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/compare/run_texts.h"
#include "tests/temp_dir.h"

namespace v4cap {

namespace {

const std::string kQuickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";

StepPlan decodes(std::int64_t batch, std::int64_t past) {
  StepPlan plan;
  for (std::int64_t i = 0; i < batch; ++i) {
    plan.pieces.push_back(
        {static_cast<RequestIndex>(i), PieceKind::decode, true, Tokens{past + 100 * i}, Tokens{1}});
  }
  return plan;
}

StepPlan chunk(std::int64_t past, std::int64_t tokens) {
  StepPlan plan;
  plan.pieces.push_back({0, PieceKind::prefill, false, Tokens{past}, Tokens{tokens}});
  return plan;
}

std::string log_text(const std::vector<std::pair<StepPlan, Duration>>& steps) {
  StepLines lines;
  std::string text(StepLines::header());
  RecordedStep step;
  for (const auto& [plan, time] : steps) {
    step.plan = plan;
    step.time = time;
    text += lines.line(step);
    step.begin += time;
    ++step.index;
  }
  return text;
}

// A log whose decodes the model of the quickstart overrates by 10 % and its prefills by 25 %.
std::string overrated_log() {
  const ScenarioCost cost = make_cost(load_scenario(kQuickstart, {}));
  std::vector<std::pair<StepPlan, Duration>> steps;
  const auto add = [&](const StepPlan& plan, double factor) {
    const double ns = static_cast<double>(cost.model->step_time(plan).total.count()) / factor;
    steps.emplace_back(plan, Duration{std::llround(ns)});
  };
  for (const std::int64_t batch : {1, 2, 3, 8, 20}) {
    for (const std::int64_t past : {500, 5000, 60000}) add(decodes(batch, past), 1.1);
  }
  for (const std::int64_t past : {0, 4096, 32768}) add(chunk(past, 2048), 1.25);
  return log_text(steps);
}

}  // namespace

TEST_CASE("step times: a cost model against the log, by kind, batch and context") {
  const TempDir dir;
  dir.write("a/steps.csv", overrated_log());
  const ScenarioCost cost = make_cost(load_scenario(kQuickstart, {}));
  const StepComparison c = compare_steps(dir.path() + "/a", *cost.model, "quickstart");
  CHECK(c.all.steps == 18);
  REQUIRE(c.by_kind.size() == 2);
  CHECK(c.by_kind[0].name == "decode");
  CHECK(c.by_kind[0].steps == 15);
  CHECK(c.by_kind[0].median_signed_pct == doctest::Approx(10).epsilon(1e-5));
  CHECK(c.by_kind[0].worst_pct == doctest::Approx(10).epsilon(1e-5));
  CHECK(c.by_kind[1].median_pct == doctest::Approx(25).epsilon(1e-5));
  REQUIRE(c.by_batch.size() == 5);  // 1, 2, 3..4, 5..8, 17..32
  CHECK(c.by_batch[0].steps == 6);  // with the prefills
  CHECK(c.by_batch[4].name == "17..32");
  CHECK(c.how.find("quickstart") != std::string::npos);
}

TEST_CASE("step times: two logs of the same steps, and of others") {
  const TempDir dir;
  const auto ms = [](double time) { return Duration{std::llround(time * 1e6)}; };
  dir.write("a/steps.csv",
            log_text({{decodes(2, 10), ms(10)}, {decodes(2, 11), ms(10)}, {chunk(0, 9), ms(4)}}));
  dir.write(
      "b/steps.csv",
      log_text({{decodes(2, 10), ms(10.2)}, {decodes(2, 11), ms(10.5)}, {chunk(0, 9), ms(3.8)}}));
  dir.write("c/steps.csv",
            log_text({{decodes(2, 10), ms(10)}, {decodes(2, 12), ms(9)}, {chunk(0, 9), ms(4)}}));
  dir.write("d/steps.csv", log_text({{decodes(2, 10), ms(10)}}));
  const auto c = compare_equal_steps(dir / "a", dir / "b");
  REQUIRE(c.has_value());
  CHECK(c->all.steps == 3);
  CHECK(c->by_kind[0].median_signed_pct == doctest::Approx(3.5));  // 2 and 5
  CHECK(c->by_kind[1].median_signed_pct == doctest::Approx(-5));
  CHECK(c->all.total_pct == doctest::Approx(100 * 0.5 / 24));
  CHECK_FALSE(compare_equal_steps(dir / "a", dir / "c").has_value());
  CHECK_FALSE(compare_equal_steps(dir / "a", dir / "d").has_value());
}

TEST_CASE("compare: one run's log of steps and a scenario") {
  const TempDir dir;
  dir.write("a/steps.csv", overrated_log());
  const ProgramRun run =
      run_v4cap({"compare", dir / "a", "--scenario", kQuickstart, "--json", "--limit",
                 "step_median=11", "--limit", "step_p90=11", "--out", dir / "out"});
  CAPTURE(run.err);
  CHECK(run.code == ExitCode::failed);
  const boost::json::value document = boost::json::parse(run.out);
  CHECK(document.at("steps").at("by_kind").as_array().size() == 2);
  CHECK(document.at("exceeded").as_array().size() == 1);
  CHECK(std::string(document.at("exceeded").as_array()[0].as_string()) == "step_p90");
  std::istringstream stream(file_text(dir / "out/compare.svg"));
  boost::property_tree::ptree tree;
  REQUIRE_NOTHROW(boost::property_tree::read_xml(stream, tree));
  CHECK(stream.str().find("nan") == std::string::npos);
  const std::string rows = file_text(dir / "out/compare_steps.csv");
  CHECK(rows.starts_with("step,kind,sequences,context_tokens,a_ms,b_ms,error_pct\n0,"));
  const auto lines = static_cast<std::int64_t>(std::ranges::count(rows, '\n'));
  CHECK(lines == document.at("steps").at("all").at("steps").as_int64() + 1);
  const ProgramRun text = run_v4cap({"compare", dir / "a", "--scenario", kQuickstart});
  CHECK(text.code == ExitCode::done);
  CHECK(text.out.find("by mean context, tokens") != std::string::npos);
}

TEST_CASE("compare: steps of a run whose other side has a scenario") {
  const TempDir dir;
  REQUIRE(
      run_v4cap({"simulate", kQuickstart, "--out", dir / "b", "--set", "workload.max_requests=20"})
          .code == ExitCode::done);
  dir.write("a/profile_export.jsonl", file_text(dir / "b/profile_export.jsonl"));
  const ProgramRun without = run_v4cap({"compare", dir / "a", dir / "b", "--json"});
  REQUIRE(without.code == ExitCode::done);
  CHECK(boost::json::parse(without.out).at("steps").is_null());
  dir.write("a/steps.csv", overrated_log());
  const ProgramRun with =
      run_v4cap({"compare", dir / "a", dir / "b", "--json", "--limit", "step=30"});
  CAPTURE(with.err);
  REQUIRE(with.code == ExitCode::done);
  const boost::json::value document = boost::json::parse(with.out);
  CHECK(document.at("steps").at("all").at("steps").as_int64() == 18);
  CHECK(document.at("step_limits").as_object().size() == 3);
}

TEST_CASE("compare: steps that cannot be compared are refused") {
  const TempDir dir;
  dir.write("a/steps.csv", overrated_log());
  dir.write("none/other.txt", "x\n");
  dir.write("broken/steps.csv", std::string(StepLines::header()) + "0,0,5,1\n");
  struct Row {
    std::vector<std::string> arguments;
    std::string message;
  };
  for (const Row& row : std::vector<Row>{
           {{dir / "a"}, "a second run B, or --scenario"},
           {{dir / "none", "--scenario", kQuickstart}, "with a log of its steps"},
           {{dir / "a", "--scenario", "nowhere.yaml"}, "nowhere.yaml"},
           {{dir / "a", "--scenario", kQuickstart, "--limit", "ttft=1"}, "only with a second run"},
           {{dir / "broken", "--scenario", kQuickstart}, "steps.csv:2:"}}) {
    std::vector<std::string> arguments = {"compare"};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    const ProgramRun run = run_v4cap(arguments);
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::bad_input);
    CHECK(run.err.find(row.message) != std::string::npos);
  }
}

}  // namespace v4cap
