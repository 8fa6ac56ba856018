#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/app/command_text.h"
#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/sim/app/shell_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

// As roff has it.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '-' ? std::string("\\-") : std::string(1, c);
  return out;
}

}  // namespace

TEST_CASE("man: every command has a page with all that its --help names") {
  const TempDir folder;
  const std::string pages = folder / "man";
  REQUIRE(run_v4cap({"man", "--out", pages}).code == ExitCode::done);
  const std::string program = file_text(pages + "/v4cap.1");
  for (const std::string& name : CommandRegistry::names()) {
    CAPTURE(name);
    CHECK(program.find("\\fB" + roff(name) + "\\fR") != std::string::npos);
    const std::string page = file_text(pages + "/v4cap-" + name + ".1");
    CHECK(page == run_v4cap({"man", name}).out);
    CHECK(page.find(".SH SYNOPSIS") != std::string::npos);
    std::istringstream help(run_v4cap({name, "--help"}).out);
    for (std::string word; help >> word;) {
      if (!word.starts_with("--") || word.size() == 2) continue;
      const std::string option = word.substr(0, word.find_first_of(",;:=)"));
      CAPTURE(option);
      CHECK(page.find(roff(option)) != std::string::npos);
    }
  }
  CHECK(program == run_v4cap({"man"}).out);
  CHECK(program.find("\\fB\\-\\-version\\fR") != std::string::npos);
}

TEST_CASE("man: parts of a command are on its page, names that an option takes beside it") {
  const std::string trace = run_v4cap({"man", "trace"}).out;
  CHECK(trace.find(".SH \\fBv4cap trace synth\\fR") != std::string::npos);
  CHECK(trace.find("Names: azure, csv, length\\-table, lmcache") != std::string::npos);
}

TEST_CASE("man: groff has nothing to complain about") {
  if (!is_installed("groff")) return;
  const TempDir folder;
  const std::string pages = folder / "man";
  REQUIRE(run_v4cap({"man", "--out", pages}).code == ExitCode::done);
  for (const auto& page : std::filesystem::directory_iterator(pages)) {
    CAPTURE(page.path().string());
    const std::string file = "'" + page.path().string() + "'";
    CHECK(run_shell("groff -man -Tascii -ww -rLL=100n " + file + " >/dev/null").out == "");
  }
  const ShellRun text = run_shell("groff -man -Tascii -P-cbou '" + pages + "/v4cap-completion.1'");
  CHECK(text.out.find("source <(v4cap completion bash)") != std::string::npos);
  CHECK(text.out.find("--no-color") != std::string::npos);
}

TEST_CASE("man: what is there is kept, and an unknown command is answered with the nearest") {
  const TempDir folder;
  folder.write("man/v4cap.1", "mine\n");
  CHECK(run_v4cap({"man", "--out", folder / "man"}).code == ExitCode::bad_input);
  CHECK(file_text(folder / "man/v4cap.1") == "mine\n");
  CHECK(run_v4cap({"man", "--out", folder / "man", "--overwrite"}).code == ExitCode::done);
  CHECK(run_v4cap({"man", "simulat"}).err ==
        "COMMAND: unknown command 'simulat'; did you mean 'simulate'?\n");
}
