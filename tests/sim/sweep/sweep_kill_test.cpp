// A sweep that is killed (SIGKILL) again and again ends with the bytes of one that was not. The
// same with two hundred kills: scripts/sweep_kill_test.
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

// Runs the program in a process of its own. Nothing of the test but this thread goes on there. What
// it prints is written to `printed`, where that is given.
pid_t started(const std::vector<std::string>& arguments, const std::string& printed = "") {
  const pid_t child = ::fork();
  if (child == 0) {
    const ProgramRun run = run_v4cap(arguments);
    if (!printed.empty()) std::ofstream(printed) << run.out;
    ::_exit(static_cast<int>(run.code));
  }
  return child;
}

// Sixteen points of some hundredths of a second for each seed.
std::string small_sweep(const TempDir& dir, const std::string& seeds) {
  return dir.write("sweep.yaml",
                   "base: " + std::string(V4CAP_SOURCE_DIR) +
                       "/scenarios/quickstart.yaml\naxes:\n  workload.max_requests: [120]\n"
                       "  kv_cache.swa_policy: [full, recompute, checkpoint=2048, tail]\n"
                       "  workload.arrivals.sessions_at_a_time: [2, 4, 8, 16]\n"
                       "  profile: [none]\nseeds: " +
                       seeds + '\n');
}

std::size_t results_in(const std::string& directory) {
  const std::string store = directory + "/sweep.sqlite";
  return std::filesystem::exists(store) ? ResultStore(store).keys().size() : 0;
}

TEST_CASE("sweep: interrupted, it ends with 130, keeps what has ended, and resume runs the rest") {
  const TempDir dir;
  // Enough of them that the signal comes before the last, however busy the machine.
  const std::string sweep = small_sweep(dir, "{from: 1, to: 5, step: 1}"), out = dir / "out";
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "whole"}).code == ExitCode::done);
  const pid_t child =
      started({"sweep", sweep, "--out", out, "--jobs", "1", "--json"}, dir / "printed");
  REQUIRE(child > 0);
  // While points are run the signal is caught, before and after it would end the process.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!std::filesystem::exists(out + "/sweep.sqlite-wal") || results_in(out) == 0) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  ::kill(child, SIGINT);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == static_cast<int>(ExitCode::interrupted));
  const std::string document = bytes_of(dir / "printed");
  CHECK(document.starts_with(R"({"error":{"kind":"interrupted","message":"interrupted: what has)"));
  CHECK(document.ends_with("}}\n"));
  CHECK(results_in(out) > 0);
  CHECK(results_in(out) < 16 * 5);
  CHECK_FALSE(std::filesystem::exists(out + "/points.csv"));
  REQUIRE(run_v4cap({"sweep", "resume", out}).code == ExitCode::done);
  CHECK(bytes_of(out + "/points.jsonl") == bytes_of(dir / "whole/points.jsonl"));
}

TEST_CASE("sweep: killed at any moment and run again, the same bytes") {
  const TempDir dir;
  const std::string sweep = small_sweep(dir, "[1]");
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(run_v4cap({"sweep", sweep, "--out", dir / "whole", "--jobs", "1"}).code ==
          ExitCode::done);
  const auto whole = std::chrono::steady_clock::now() - begin;

  const std::vector<std::string> arguments = {"sweep",        sweep,    "--out",
                                              dir / "killed", "--jobs", "2"};
  int killed = 0, interrupted_with_results = 0;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = started(arguments);
    REQUIRE(child > 0);
    // From before the database is there until some points are.
    std::this_thread::sleep_for(whole * i / 20);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) ++killed;
    const std::size_t known = results_in(dir / "killed");
    if (known > 0 && known < 16) ++interrupted_with_results;
  }
  CAPTURE(interrupted_with_results);
  CHECK(killed > 0);
  REQUIRE(run_v4cap(arguments).code == ExitCode::done);
  CHECK(bytes_of(dir / "killed/points.csv") == bytes_of(dir / "whole/points.csv"));
  CHECK(bytes_of(dir / "killed/points.jsonl") == bytes_of(dir / "whole/points.jsonl"));
}

}  // namespace
}  // namespace v4cap
