// README's list of error kinds and the code's (exec/driver/gpu_error.h) are the same list.
#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "exec/driver/gpu_error.h"
#include "sim/core/write_error.h"

namespace v4cap::exec {
namespace {

std::string source(const std::string& path) {
  std::ifstream file(std::string(V4CAP_SOURCE_DIR) + '/' + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// First groups of all matches.
std::set<std::string> found(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    CHECK_MESSAGE(out.insert((*it)[1]).second, (*it)[1] << " is there twice");
  }
  return out;
}

TEST_CASE("error kinds: README lists those that the code has, and no others") {
  const auto in_code =
      found(source("exec/driver/gpu_error.h"), R"re(const char\* k\w+ = "(\w+)")re");
  CHECK(in_code.size() > 20);

  const std::string readme = source("README.md"), head = "| `error.kind` |";
  const std::size_t begin = readme.find(head);
  REQUIRE(begin != std::string::npos);
  const std::string table = readme.substr(begin, readme.find("\n\n", begin) - begin);
  std::string first_column;
  for (std::size_t line = table.find('\n'); line != std::string::npos;
       line = table.find('\n', line + 1)) {
    first_column += table.substr(line, table.find('|', line + 2) - line);
  }
  CHECK(found(first_column, "`(\\w+)`") == in_code);
}

TEST_CASE("error kinds: those of sim/core are called the same here") {
  CHECK(InputError(Place{}, "x").kind() == error_kind::kInput);
  CHECK(RunError("x").kind() == error_kind::kRun);
  CHECK(write_failed("x", ENOSPC).kind() == error_kind::kDiskFull);
  CHECK(write_failed("x", EACCES).kind() == error_kind::kCannotWrite);
  const std::string program = source("sim/app/program.cpp");
  for (const std::string kind :
       {error_kind::kUnexpected, error_kind::kOutOfHostMemory, error_kind::kInterrupted}) {
    CHECK(program.find('"' + kind + '"') != std::string::npos);
  }
}

}  // namespace
}  // namespace v4cap::exec
