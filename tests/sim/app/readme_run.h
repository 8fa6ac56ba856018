// The commands of a section of README.md, run, and what it shows of their output.
#pragma once

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "tests/golden.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {

struct ReadmeRun {
  int commands = 0, shown = 0;
};

// Indented lines that begin with `v4cap` are run, with runs/ in a folder of their own; every other
// indented line must be in what the command before it printed.
inline ReadmeRun run_readme_section(const std::string& heading) {
  const std::string source = V4CAP_SOURCE_DIR, readme = file_text(source + "/README.md");
  const std::size_t begin = readme.find(heading);
  REQUIRE(begin != std::string::npos);
  std::istringstream section(readme.substr(begin, readme.find("\n## ", begin) - begin));
  const TempDir dir;
  ReadmeRun done;
  std::string line, printed;
  while (std::getline(section, line)) {
    if (!line.starts_with("    ")) continue;
    line.erase(0, 4);
    if (!line.starts_with("v4cap ")) {
      CAPTURE(line);
      CHECK(printed.find(line) != std::string::npos);
      ++done.shown;
      continue;
    }
    std::istringstream words(line.substr(6));
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) {
      if (word.starts_with("scenarios/")) word.insert(0, source + "/");
      if (word.starts_with("runs/")) word.insert(0, dir.path() + "/");
      arguments.push_back(word);
    }
    CAPTURE(line);
    const ProgramRun run = run_v4cap(arguments);
    CAPTURE(run.err);
    CHECK(run.code == ExitCode::done);
    printed = run.out;
    ++done.commands;
  }
  return done;
}

}  // namespace v4cap
