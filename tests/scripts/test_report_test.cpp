// scripts/test_report.py decides whether scripts/test succeeded: what it counts is what people
// believe.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "tests/golden.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

struct Outcome {
  int exit_code;
  std::string last_line, text;
};

Outcome report(const TempDir& folder, const std::string& arguments) {
  const std::string command = "python3 '" + std::string(V4CAP_SOURCE_DIR) +
                              "/scripts/test_report.py' " + arguments + " > '" + (folder / "log") +
                              "'";
  const int status = std::system(command.c_str());
  std::string text = file_text(folder / "log");
  const std::size_t end = text.find_last_not_of('\n');
  const std::size_t begin = text.find_last_of('\n', end);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text.substr(begin + 1, end - begin), text};
}

// As CMake 3.25 writes them.
const std::string kPassed = R"(<testcase name="good" status="run"></testcase>)";
const std::string kFailed =
    R"(<testcase name="bad" status="fail"><failure message=""/></testcase>)";
const std::string kSkipped = R"(<testcase name="needs data" status="notrun">)"
                             R"(<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>)";
const std::string kNoBrowser = R"(<testcase name="browser: is drawn" status="notrun">)"
                               R"(<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>)";
const std::string kNoValgrind =
    R"(<testcase name="instructions: of W1" status="notrun">)"
    R"(<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>)";
const std::string kUnable = R"(<testcase name="gone" status="notrun">)"
                            R"(<skipped message="Unable to find executable"/></testcase>)";

}  // namespace

TEST_CASE("test report: counts and exit codes") {
  struct Row {
    std::string name, cases, option;
    int exit_code;
    std::string last_line;
  };
  const Row rows[] = {
      {"all passed", kPassed + kPassed, "--skips", 0, "2 passed, 0 failed"},
      {"one failed", kPassed + kFailed, "--skips", 1, "1 passed, 1 failed"},
      {"skipped is told", kPassed + kSkipped, "--skips", 0, "1 passed, 0 failed, 1 skipped"},
      {"skipped is a failure with data", kPassed + kSkipped, "--no-skips", 1, "1 passed, 1 failed"},
      {"a browser need not be there", kPassed + kNoBrowser, "--no-skips", 0,
       "1 passed, 0 failed, 1 skipped"},
      {"nor Valgrind", kPassed + kNoValgrind, "--no-skips", 0, "1 passed, 0 failed, 1 skipped"},
      {"not run is a failure", kPassed + kUnable, "--skips", 1, "1 passed, 1 failed"},
      {"nothing but skips is no success", kSkipped, "--skips", 1, "0 passed, 0 failed, 1 skipped"},
      {"no tests is a failure", "", "--skips", 1, "0 passed, 1 failed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const TempDir folder;
    std::ofstream(folder / "release.xml") << "<testsuite>" << row.cases << "</testsuite>";
    const Outcome outcome = report(folder, row.option + " '" + folder.path() + "' release");
    CHECK(outcome.exit_code == row.exit_code);
    CHECK(outcome.last_line == row.last_line);
  }
}

TEST_CASE("test report: names what was skipped and takes a missing report for a failed build") {
  const TempDir folder;
  std::ofstream(folder / "release.xml") << "<testsuite>" << kPassed << kSkipped << "</testsuite>";
  const Outcome outcome = report(folder, "--skips '" + folder.path() + "' release debug");
  CHECK(outcome.exit_code == 1);
  CHECK(outcome.text.find("release: needs data") != std::string::npos);
  CHECK(outcome.text.find("debug: build") != std::string::npos);
  CHECK(outcome.last_line == "1 passed, 1 failed, 1 skipped");
}
