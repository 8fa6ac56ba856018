// v4exec as its users meet it, as far as it goes without a GPU.
#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>

#include "exec/v4exec_program.h"
#include "tests/temp_dir.h"

namespace v4cap::exec {
namespace {

struct ProgramRun {
  ExitCode code;
  std::string out, err;
};

ProgramRun run_v4exec(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const ExitCode code = run_program(kV4exec, arguments, out, err, false, false);
  return {code, out.str(), err.str()};
}

TEST_CASE("v4exec: help names every command, and a slip is answered with the nearest") {
  const ProgramRun help = run_v4exec({"--help"});
  CHECK(help.code == ExitCode::done);
  for (const char* name : {"bench", "check", "dump"}) {
    CHECK(help.out.find(name) != std::string::npos);
  }
  CHECK(run_v4exec({"bnch"}).err == "v4exec: unknown command \"bnch\"; did you mean 'bench'?\n");
  CHECK(run_v4exec({"bench", "--mach=x"}).err.find("did you mean '--match'?") != std::string::npos);
}

TEST_CASE("v4exec: wrong input is refused before a GPU is looked for") {
  struct Row {
    std::vector<std::string> arguments;
    std::string err;
  };
  const TempDir dir;
  dir.write("full/file", "");
  const Row rows[] = {
      {{"check", "--operator", "topkk"},
       "--operator: expected the name of an operator, found 'topkk'; did you mean 'topk'?\n"},
      {{"check", "--version", "portble"},
       "--version: expected the name of a version, found 'portble'; did you mean 'portable'?\n"},
      {{"bench", "--match", "no such case"}, "--match: expected a part of a case's name"},
      {{"bench", "--seconds", "0"}, "v4exec bench: "},
      {{"dump", "--out", dir / "full"}, dir / "full: expected an empty folder or none"},
      {{"dump"}, "v4exec dump: --out is missing"},
  };
  for (const Row& row : rows) {
    const ProgramRun r = run_v4exec(row.arguments);
    CAPTURE(r.err);
    CHECK(r.code == ExitCode::bad_input);
    CHECK(r.err.starts_with(row.err));
    CHECK(r.out == "");
    std::vector<std::string> as_json = row.arguments;
    as_json.emplace_back("--json");
    const ProgramRun json = run_v4exec(as_json);
    CHECK(json.code == ExitCode::bad_input);
    CHECK(json.out.starts_with("{\"error\":{\"kind\":\"input\","));
  }
}

TEST_CASE("v4exec: a GPU that is not there ends every command with 2 and leaves no file") {
  const TempDir dir;
  // No machine has that many; without any GPU the message says what is missing.
  const std::string device = "--device=4096";
  const std::vector<std::string> calibrate{
      "calibrate", "--model", "deepseek-v4-flash", "--tp", "4", "--ep", "4", "--out", dir / "out"};
  // As a calibration calls itself for a family; what it says is read from its log.
  std::vector<std::string> family = calibrate;
  family.insert(family.end(), {"--in-process", "--family", "host"});
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"check"},
                                                    {"bench", "--json-file", dir / "bench.json"},
                                                    {"dump", "--out", dir / "dump"},
                                                    calibrate,
                                                    family}) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {device, "--json"});
    const ProgramRun r = run_v4exec(all);
    CAPTURE(r.err);
    CHECK(r.code == ExitCode::bad_input);
    CHECK(r.out.starts_with("{\"error\":{\"kind\":\""));
    CHECK(r.err.find("expected") != std::string::npos);
    CHECK(r.err.find("found") != std::string::npos);
  }
  CHECK(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace v4cap::exec
