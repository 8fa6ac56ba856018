// v4cap report, run whole and in the process.
#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/app/readme_run.h"
#include "tests/sim/report/run_folder.h"

namespace v4cap {

TEST_CASE("report: one file, the same bytes again, and lines on the terminal") {
  const TempDir dir;
  write_folder(dir, "runs/full", {.policy = "full"});
  write_folder(dir, "runs/recompute",
               {.policy = "recompute", .tpot_ms = 10, .output_tok_s_per_gpu = 70});
  const ProgramRun run = run_v4cap({"report", dir / "runs", "--out", dir / "a/report.html"});
  CAPTURE(run.err);
  REQUIRE(run.code == ExitCode::done);
  CHECK(run.out.starts_with("KV memory of one GPU over the run\n  full "));
  CHECK(run.out.find("  a  full: 50.0 tok/s per user, 100.0 tok/s per GPU\n") != std::string::npos);
  CHECK(run.err == "wrote " + (dir / "a/report.html") + "\n");
  REQUIRE(run_v4cap({"report", dir / "runs", "--out", dir / "b.html"}).code == ExitCode::done);
  CHECK(file_text(dir / "a/report.html") == file_text(dir / "b.html"));
}

TEST_CASE("report: --json says what was written, and nothing else") {
  const TempDir dir;
  write_folder(dir, "run", {.saturated = true});
  const ProgramRun run = run_v4cap(
      {"report", dir / "run", "--out", dir / "r.html", "--json", "--quiet", "--perfetto", "1..3"});
  REQUIRE(run.code == ExitCode::done);
  CHECK(run.err == "");
  const boost::json::value document = boost::json::parse(run.out);
  CHECK(document.at("path").as_string() == dir / "r.html");
  CHECK(document.at("bytes").as_int64() ==
        static_cast<std::int64_t>(std::filesystem::file_size(dir / "r.html")));
  CHECK(document.at("perfetto").as_string() == dir / "r.perfetto.json");
  CHECK(boost::json::parse(file_text(dir / "r.perfetto.json")).at("traceEvents").as_array().size() >
        4);
  CHECK_FALSE(document.at("runs").at(0).at("steady_state").as_bool());
}

TEST_CASE("report: what exists is kept, unless it may be replaced, and a dry run writes nothing") {
  const TempDir dir;
  const std::string run = write_folder(dir, "run", {}), page = dir.write("page.html", "mine");
  CHECK(run_v4cap({"report", run, "--out", page}).code == ExitCode::bad_input);
  CHECK(run_v4cap({"report", run, "--out", page, "--overwrite", "--dry-run"}).code ==
        ExitCode::done);
  CHECK(file_text(page) == "mine");
  CHECK(run_v4cap({"report", run, "--out", page, "--overwrite"}).code == ExitCode::done);
  CHECK(file_text(page).starts_with("<!doctype html>"));
}

TEST_CASE("report: wrong input is refused with its place") {
  const TempDir dir;
  const std::string run = write_folder(dir, "run", {}), other = write_folder(dir, "other", {});
  dir.write("empty/nothing.txt", "");
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Row rows[] = {
      {{dir / "absent"}, "absent: cannot open the file"},
      {{dir / "empty"}, "empty: expected the directory of a run (summary.json)"},
      {{run + "/profile_export.jsonl"}, "laid over with --measured"},
      {{dir.write("none.csv", "a,b\n")}, "expected points of a sweep, found none"},
      {{run, "--out", dir.path()}, "expected the name of a file for --out"},
      {{run, "--perfetto", "1..2"}, "--perfetto: expected --out FILE.html with it"},
      {{run, other, "--out", dir / "x.html", "--perfetto", "1..2"}, "expected one run, found 2"},
      {{run, "--out", dir / "x.html", "--perfetto", "2..1"}, "expected FROM..TO in seconds"},
      {{run, "--out", dir / "x.html", "--measured", dir / "empty/nothing.txt"}, "nothing.txt"}};
  for (const Row& row : rows) {
    std::vector<std::string> arguments = row.arguments;
    arguments.insert(arguments.begin(), "report");
    const ProgramRun refused = run_v4cap(arguments);
    CAPTURE(refused.err);
    CAPTURE(row.message);
    CHECK(refused.code == ExitCode::bad_input);
    CHECK(refused.err.find(row.message) != std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists(dir / "x.html"));
}

TEST_CASE("report: README's example does what it shows") {
  const ReadmeRun run = run_readme_section("## A report to look at");
  CHECK(run.commands == 2);
  CHECK(run.shown == 4);
}

TEST_CASE("report: what was measured is compared with every run") {
  const TempDir dir;
  const std::string run = write_folder(dir, "run", {}),
                    measured = write_folder(dir, "measured", {}, 1);
  const ProgramRun done = run_v4cap({"report", run, "--measured", measured, "--json"});
  CAPTURE(done.err);
  REQUIRE(done.code == ExitCode::done);
  CHECK(boost::json::parse(done.out).at("comparisons").as_int64() == 1);
}

}  // namespace v4cap
