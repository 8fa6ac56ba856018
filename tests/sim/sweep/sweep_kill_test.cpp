// A sweep that is killed (SIGKILL) again and again ends with the bytes of one that was not. The same
// with two hundred kills: scripts/sweep_kill_test.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "sim/sweep/result_store.h"
#include "tests/sim/app/program_run.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Runs the program in a process of its own. Nothing of the test but this thread goes on there.
pid_t started(const std::vector<std::string>& arguments) {
  const pid_t child = ::fork();
  if (child == 0) {
    run_v4cap(arguments);
    ::_exit(0);
  }
  return child;
}

TEST_CASE("sweep: killed at any moment and run again, the same bytes") {
  const TempDir dir;
  const std::string quickstart = std::string(V4CAP_SOURCE_DIR) + "/scenarios/quickstart.yaml";
  const std::string sweep = dir.write(
      "sweep.yaml", "base: " + quickstart +
                        "\naxes:\n  workload.max_requests: [120]\n"
                        "  kv_cache.swa_policy: [full, recompute, checkpoint=2048, tail]\n"
                        "  workload.arrivals.sessions_at_a_time: [2, 4, 8, 16]\n"
                        "  profile: [none]\n");
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "whole", "--jobs", "1"}).code ==
          ExitCode::done);

  const std::vector<std::string> arguments = {"sweep",        sweep,    "--out",
                                              dir / "killed", "--jobs", "2"};
  int killed = 0, interrupted_with_results = 0;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = started(arguments);
    REQUIRE(child > 0);
    // From before the database is there until most points are.
    std::this_thread::sleep_for(std::chrono::milliseconds{5 + 25 * i});
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) ++killed;
    if (!std::filesystem::exists(dir / "killed/sweep.sqlite")) continue;
    const std::size_t known = ResultStore(dir / "killed/sweep.sqlite").keys().size();
    if (known > 0 && known < 16) ++interrupted_with_results;
  }
  CAPTURE(interrupted_with_results);
  CHECK(killed > 0);
  REQUIRE(run_v4cap({"sweep", "resume", dir / "killed"}).code == ExitCode::done);
  CHECK(bytes_of(dir / "killed/points.csv") == bytes_of(dir / "whole/points.csv"));
  CHECK(bytes_of(dir / "killed/points.jsonl") == bytes_of(dir / "whole/points.jsonl"));
}

}  // namespace
}  // namespace v4cap
