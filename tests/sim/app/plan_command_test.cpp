// `v4cap plan` whole and in the process.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/data.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/app/readme_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

namespace fs = std::filesystem;

const std::string kSource = V4CAP_SOURCE_DIR;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string tiny_plan(const TempDir& dir, const std::string& thresholds) {
  return dir.write("tiny.yaml", "base: " + kSource +
                                    "/scenarios/quickstart.yaml\naxes: {profile: [none]}\n"
                                    "thresholds: [" +
                                    thresholds +
                                    "]\nload: {from: 1, to: 4}\nseeds: [1]\nlevers: []\n"
                                    "sample: {rounds: 1}\n");
}

TEST_CASE("plan: exit codes, one document, files") {
  const TempDir dir;
  const std::string good = tiny_plan(dir, "ttft_ms.p50 <= 1e9");
  const std::string out = dir / "out";
  const ProgramRun run = run_v4cap({"plan", good, "--json", "--out", out});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  const auto document = boost::json::parse(run.out).as_object();
  CHECK(document.at("best").at("held_per_engine").to_number<double>() == 4);
  CHECK(document.at("infeasible").as_array().empty());
  CHECK_FALSE(document.at("frontier").as_array().empty());
  CHECK(run.out == bytes_of(out + "/plan.json"));
  for (const char* name : {"deployments.csv", "frontier.csv", "runs.csv"}) {
    CHECK(bytes_of(out + '/' + name).find('\n') != std::string::npos);
  }
  // A directory that holds something is not written over.
  CHECK(run_v4cap({"plan", good, "--out", out}).code == ExitCode::bad_input);
  CHECK(run_v4cap({"plan", good, "--out", out, "--overwrite"}).code == ExitCode::done);

  const auto report = run_v4cap({"report", out, "--json", "--out", dir / "report.html"});
  REQUIRE(report.code == ExitCode::done);
  CHECK(boost::json::parse(report.out).at("sweeps").to_number<int>() == 2);
  CHECK(bytes_of(dir / "report.html").find("held_low") != std::string::npos);
  // The answer is a scenario that can be run.
  CHECK(run_v4cap({"check", out + "/profile.yaml"}).code == ExitCode::done);
  CHECK(bytes_of(out + "/profile.yaml").find("sessions_at_a_time: 4\n") != std::string::npos);

  const ProgramRun dry = run_v4cap({"plan", good, "--dry-run"});
  CHECK(dry.code == ExitCode::done);
  CHECK(dry.out.starts_with("tiny: 1 deployment, 1 seed, each at full length\nabout "));
  const auto estimate = run_v4cap({"plan", good, "--dry-run", "--json"});
  const auto estimated = boost::json::parse(estimate.out).as_object();
  CHECK(estimated.at("sampled").to_number<int>() == 1);
  CHECK(estimated.at("estimated_runs").to_number<int>() > 1);
  CHECK(estimated.at("estimated_wall_s").to_number<double>() > 0);

  const ProgramRun nothing = run_v4cap({"plan", tiny_plan(dir, "ttft_ms.p50 <= 0.001"), "--json"});
  CHECK(nothing.code == ExitCode::failed);
  CHECK(boost::json::parse(nothing.out).at("best").is_null());

  const ProgramRun wrong = run_v4cap({"plan", tiny_plan(dir, "ttft_ms.p98 <= 4"), "--json"});
  CHECK(wrong.code == ExitCode::bad_input);
  CHECK(wrong.out.find("did you mean 'ttft_ms.p9") != std::string::npos);
  CHECK(run_v4cap({"plan"}).code == ExitCode::bad_input);
}

TEST_CASE("plan: README's example of a wrong profile does what it shows") {
  const ReadmeRun run = run_readme_section("## What the wrong profile costs");
  CHECK(run.commands == 1);
  CHECK(run.shown >= 4);
}

TEST_CASE("plan: several plans are one document, a folder each and a table") {
  const TempDir dir;
  const std::string good = tiny_plan(dir, "ttft_ms.p50 <= 1e9");
  const std::string other = dir.write("other.yaml", bytes_of(good) + "goodput: {ttft: 1000 s}\n");
  const std::string out = dir / "out";
  const ProgramRun run = run_v4cap({"plan", good, other, "--json", "--out", out});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  const auto document = boost::json::parse(run.out).as_object();
  CHECK(document.at("plans").as_array().size() == 2);
  const auto& cells = document.at("cross").as_array();
  REQUIRE(cells.size() == 4);
  for (const auto& cell : cells) CHECK(cell.at("held_per_engine").to_number<double>() == 4);
  CHECK(cells[0].at("extra").is_null());
  CHECK(cells[1].at("profile").as_string() == "other");
  CHECK(cells[1].at("extra").at("mean").to_number<double>() == doctest::Approx(0));
  CHECK(run.out == bytes_of(out + "/plans.json"));
  for (const char* name : {"/cross.csv", "/tiny/plan.json", "/other/profile.yaml"}) {
    CHECK(bytes_of(out + name).find('\n') != std::string::npos);
  }
  CHECK(run_v4cap({"plan", good, other, "--dry-run"}).out.find("other: 1 deployment") !=
        std::string::npos);
  CHECK(run_v4cap({"plan", good, good}).code == ExitCode::bad_input);
}

TEST_CASE("plan: README's example does what it shows") {
  const std::string readme = bytes_of(kSource + "/README.md");
  const std::size_t begin = readme.find("## The cheapest deployment");
  REQUIRE(begin != std::string::npos);
  std::istringstream section(readme.substr(begin, readme.find("\n## ", begin) - begin));
  const TempDir dir;
  fs::copy(kSource + "/scenarios/quickstart.yaml", dir / "quickstart.yaml");
  std::string line, printed, file;
  int commands = 0, shown = 0;
  while (std::getline(section, line)) {
    if (!line.starts_with("    ")) continue;
    line.erase(0, 4);
    if (line.starts_with("v4cap ")) {
      dir.write("plan.yaml", file);
      const ProgramRun run = run_v4cap({"plan", dir / "plan.yaml", "--out", dir / "answer"});
      CAPTURE(run.err);
      CHECK(run.code == ExitCode::done);
      printed = run.out;
      ++commands;
    } else if (commands == 0) {
      file += line + '\n';
    } else {
      CAPTURE(line);
      CAPTURE(printed);
      CHECK(printed.find(line) != std::string::npos);
      ++shown;
    }
  }
  CHECK(commands == 1);
  CHECK(shown >= 5);
  CHECK(fs::exists(dir / "answer/plan.json"));
}

DATA_TEST_CASE("plan: the shipped plans read their traces, and every deployment of them is sound") {
  for (const char* name :
       {"plan_agents", "plan_chat", "plan_chat_azure", "plan_rollouts", "plan_completion"}) {
    const ProgramRun run = run_v4cap({"plan", kSource + "/scenarios/" + name + ".yaml", "--traces",
                                      (data_dir() / "traces").string(), "--dry-run"});
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::done);
    CHECK(run.out.starts_with(name));
  }
}

}  // namespace
}  // namespace v4cap
