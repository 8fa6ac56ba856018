// What a person gets who presses Tab, asked of a real bash; zsh and fish at least read their
// scripts where they are installed.
#include <algorithm>
#include <sstream>

#include "tests/sim/app/program_run.h"
#include "tests/sim/app/shell_run.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

std::string script(const std::string& shell) {
  const ProgramRun run = run_v4cap({"completion", shell});
  REQUIRE(run.code == ExitCode::done);
  return run.out;
}

// What bash offers for the last of `words`, which may be empty, in its order.
std::vector<std::string> offered(const TempDir& folder, const std::vector<std::string>& words) {
  folder.write("v4cap.bash", script("bash"));
  std::string command = "COMP_WORDS=(";
  for (const std::string& word : words) command += " '" + word + "'";
  command += "); COMP_CWORD=" + std::to_string(words.size() - 1) +
             "; _v4cap; printf '%s\\n' \"${COMPREPLY[@]}\"";
  folder.write("ask.bash", "set -u\nsource '" + folder / "v4cap.bash" + "'\n" + command + '\n');
  const ShellRun run = run_shell("bash --norc '" + folder / "ask.bash" + "'");
  CHECK(run.status == 0);
  std::istringstream lines(run.out);
  std::vector<std::string> out;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) out.push_back(line);
  }
  return out;
}

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("completion: bash offers commands, options and the names that options take") {
  if (!is_installed("bash")) return;
  const TempDir folder;
  CHECK(offered(folder, {"v4cap", "simul"}) == Words{"simulate"});
  const Words commands = offered(folder, {"v4cap", ""});
  for (const std::string& name : CommandRegistry::names()) CHECK(has(commands, name));
  CHECK(offered(folder, {"v4cap", "simulate", "--ov"}) == Words{"--overwrite"});
  CHECK(offered(folder, {"v4cap", "--vers"}) == Words{"--version"});
  CHECK(offered(folder, {"v4cap", "trace", "in"}) == Words{"info"});
  CHECK(offered(folder, {"v4cap", "trace", "synth", "--arrivals", "g"}) == Words{"gamma"});
  CHECK(offered(folder, {"v4cap", "cache", "t.jsonl", "--layout", "sg"}) == Words{"sglang"});
  CHECK(offered(folder, {"v4cap", "cache", "--layout", "=", "tr"}) == Words{"trtllm"});
  CHECK(has(offered(folder, {"v4cap", "cache", "--layout", "="}), "vllm"));
  CHECK(offered(folder, {"v4cap", "completion", "f"}) == Words{"fish"});
  CHECK(offered(folder, {"v4cap", "import", "--hardware", "hgx-b2"}) == Words{"hgx-b200"});
}

TEST_CASE("completion: bash is left to offer files where files are meant") {
  if (!is_installed("bash")) return;
  const TempDir folder;
  CHECK(offered(folder, {"v4cap", "simulate", "scen"}).empty());
  CHECK(offered(folder, {"v4cap", "simulate", "--out", ""}).empty());
  CHECK(script("bash").find("-o default -F _v4cap v4cap\n") != std::string::npos);
  // A value that looks like a command is none.
  CHECK(offered(folder, {"v4cap", "check", "--traces", "info", "--dr"}) == Words{"--dry-run"});
}

TEST_CASE("completion: every option of every command is in every script") {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string text = script(shell);
    const bool fish = shell == "fish";
    for (const std::string& name : CommandRegistry::names()) {
      CAPTURE(shell);
      CAPTURE(name);
      CHECK(text.find(name) != std::string::npos);
      // As --help has them.
      std::istringstream help(run_v4cap({name, "--help"}).out);
      for (std::string line; std::getline(help, line);) {
        const std::size_t begin = line.find("--");
        if (begin == std::string::npos || begin > 5 || line.find_first_not_of(' ') + 4 < begin) {
          continue;
        }
        const std::size_t end = line.find_first_of(" ,", begin);
        const std::string option = line.substr(begin, end - begin);
        CAPTURE(option);
        CHECK(text.find(fish ? "-l " + option.substr(2) : option) != std::string::npos);
      }
    }
  }
}

TEST_CASE("completion: shells read their scripts without complaint") {
  const TempDir folder;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    if (!is_installed(shell)) continue;
    CAPTURE(shell);
    const std::string file = folder.write("script." + shell, script(shell));
    const ShellRun run = run_shell(shell + " -n '" + file + "'");
    CHECK(run.status == 0);
    CHECK(run.out == "");
  }
}

TEST_CASE("completion: an unknown shell is answered with the nearest") {
  const ProgramRun run = run_v4cap({"completion", "bsh"});
  CHECK(run.code == ExitCode::bad_input);
  CHECK(run.err == "SHELL: unknown shell 'bsh'; did you mean 'bash'?\n");
}
