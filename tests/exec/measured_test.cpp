// What was measured on a GPU and is committed: recorded replays make the same decisions again, the
// errors of the simulation are those that exec/measured and README.md say.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/data.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

namespace fs = std::filesystem;

const fs::path kSource(V4CAP_SOURCE_DIR);

void check_decisions(const fs::path& recorded) {
  CAPTURE(recorded.string());
  const TempDir dir;
  const ProgramRun run = run_v4cap(
      {"simulate", (kSource / "scenarios/executor" / recorded.filename()).string() + ".yaml",
       "--set", "hardware=hgx-" + recorded.parent_path().filename().string(), "--steps",
       recorded.string(), "--out", dir / "again", "--quiet", "--traces",
       (data_dir() / "traces").string()});
  CAPTURE(run.err);
  CHECK(run.code == ExitCode::done);
  for (const char* file : {"steps.csv", "decisions.csv", "profile_export.jsonl"}) {
    CAPTURE(file);
    CHECK(file_text((recorded / file).string()) == file_text((dir / "again") + "/" + file));
  }
}

TEST_CASE("measured: the times of a recorded replay make its decisions again") {
  check_decisions(kSource / "exec/measured/h100/flash_saturated");
  check_decisions(kSource / "exec/measured/h200/flash2_saturated");  // of two GPUs
}

DATA_TEST_CASE("measured: the same of replays of public traces") {
  for (const char* name : {"flash_chat", "flash_agents"}) {
    check_decisions(kSource / "exec/measured/h100" / name);
  }
}

TEST_CASE("measured: the errors of a simulation are those that are committed") {
  const boost::json::value measured =
      boost::json::parse(file_text((kSource / "exec/measured/h100.json").string()));
  const fs::path recorded = kSource / "exec/measured/h100/flash_saturated";
  int compared = 0;
  for (const auto& run : measured.at("runs").as_array()) {
    if (run.at("scenario").as_string() != "flash_saturated") continue;
    for (const auto& against : run.at("against").as_array()) {
      const TempDir dir;
      const std::string profile(against.at("profile").as_string());
      const ProgramRun simulated =
          run_v4cap({"simulate", (kSource / "scenarios/executor/flash_saturated.yaml").string(),
                     "--set", "profile=" + profile, "--out", dir / "simulated", "--quiet"});
      REQUIRE(simulated.code == ExitCode::done);
      const ProgramRun o = run_v4cap({"compare", recorded.string(), dir / "simulated", "--json"});
      REQUIRE(o.code == ExitCode::done);
      const boost::json::value document = boost::json::parse(o.out);
      for (const auto& [name, error] : against.at("errors").as_object()) {
        CAPTURE(std::string(name));
        const double now = document.at("figures").at(name).at("error").to_number<double>();
        CHECK(std::abs(now - error.to_number<double>()) < 6e-4);
        ++compared;
      }
    }
  }
  CHECK(compared >= 10);
}

TEST_CASE("measured: README shows the committed errors") {
  const std::string command =
      "'" + (kSource / "scripts/executor_errors").string() + "' --check > /dev/null 2>&1";
  const int status = std::system(command.c_str());
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
