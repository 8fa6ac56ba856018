// SIGINT where nothing in the program waits for it.
#include "sim/app/interrupt.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "sim/core/error.h"
#include "tests/golden.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

struct Ended {
  int status = 0;
  std::string out, err;
};

// A process that answers interrupts and gets one.
Ended interrupted(const std::vector<const char*>& arguments, bool ignores = false) {
  const TempDir dir;
  const std::string out = dir / "out", err = dir / "err";
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0644), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT, 0644), STDERR_FILENO);
    std::signal(SIGINT, ignores ? SIG_IGN : SIG_DFL);
    answer_interrupts("v4cap", static_cast<int>(arguments.size()), arguments.data());
    std::raise(SIGINT);
    ::_exit(7);
  }
  Ended end;
  REQUIRE(::waitpid(child, &end.status, 0) == child);
  end.out = file_text(out);
  end.err = file_text(err);
  return end;
}

TEST_CASE("an interrupt that no run waits for ends with 130, a line and with --json a document") {
  const Ended plain = interrupted({"v4cap", "cache", "trace.csv"});
  REQUIRE(WIFEXITED(plain.status));
  CHECK(WEXITSTATUS(plain.status) == static_cast<int>(ExitCode::interrupted));
  CHECK(plain.out.empty());
  CHECK(plain.err == "v4cap: interrupted\n");
  const Ended json = interrupted({"v4cap", "cache", "trace.csv", "--json"});
  CHECK(WEXITSTATUS(json.status) == static_cast<int>(ExitCode::interrupted));
  CHECK(json.out == "{\"error\":{\"kind\":\"interrupted\",\"message\":\"interrupted\"}}\n");
  CHECK(json.err == "v4cap: interrupted\n");
}

TEST_CASE("an interrupt that the caller ignores stays ignored") {
  const Ended end = interrupted({"v4cap", "cache", "trace.csv"}, true);
  REQUIRE(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == 7);
}

}  // namespace
}  // namespace v4cap
