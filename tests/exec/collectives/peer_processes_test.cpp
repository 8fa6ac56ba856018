// Ranks of a job, with shells for ranks.
#include "exec/collectives/peer_processes.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "exec/driver/gpu_error.h"
#include "tests/temp_dir.h"

namespace v4cap::exec {
namespace {

constexpr const char* kShell = "/bin/sh";

PeerTask rank(const TempDir& dir, int number, const std::string& script) {
  const std::string name = "rank " + std::to_string(number) + " on GPU " + std::to_string(number);
  return {name, {"-c", script}, dir.path() + "/rank-" + std::to_string(number) + ".log"};
}

// What is said of the first loss, within the ten seconds in which it must be.
struct Loss {
  std::promise<RunError> said;
  PeerProcesses::OnLoss told() {
    return [this](const RunError& error) { said.set_value(error); };
  }
  RunError within_ten_seconds() {
    auto future = said.get_future();
    REQUIRE(future.wait_for(std::chrono::seconds(10)) == std::future_status::ready);
    return future.get();
  }
};

std::string failure_of(const std::function<void()>& act, std::string& kind) {
  try {
    act();
  } catch (const RunError& error) {
    kind = error.kind();
    return error.what();
  }
  kind = "";
  return "";
}

bool runs(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

pid_t pid_in(const std::string& log) {
  for (int i = 0; i < 500; ++i) {
    std::ifstream file(log);
    if (pid_t pid = 0; file >> pid) return pid;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return 0;
}

TEST_CASE("ranks: one that ends early is named with its reason, and the others are killed") {
  const TempDir dir;
  for (const auto& [script, expected] : std::vector<std::pair<std::string, std::string>>{
           {"exit 3", "it ended with exit code 3"},
           {"exit 0", "it ended with exit code 0"},
           {"kill -9 $$", "signal 9"},
           {"echo 'no memory'; exit 1", "it ended with exit code 1: no memory"},
           {"echo '{\"error\":{\"kind\":\"nccl\",\"message\":\"unhandled\"}}'; echo; exit 1",
            "it ended with exit code 1: unhandled"}}) {
    CAPTURE(script);
    Loss loss;
    const PeerProcesses peers(
        kShell, {rank(dir, 1, "echo $$; exec sleep 100"), rank(dir, 2, "sleep 0.1; " + script)},
        loss.told());
    const pid_t other = pid_in(dir.path() + "/rank-1.log");
    REQUIRE(other > 0);
    const RunError error = loss.within_ten_seconds();
    CHECK(error.kind() == std::string(error_kind::kRankLost));
    CHECK(std::string(error.what()) ==
          "rank 2 on GPU 2 is gone: " + expected + "; its log is " + dir.path() + "/rank-2.log");
    CHECK_FALSE(runs(other));
  }
}

TEST_CASE("ranks: the end of a job is waited for, and told from a loss") {
  const TempDir dir;
  const auto no_loss = [](const RunError& error) { FAIL(error.what()); };
  std::string kind;
  const auto finish = [&](const std::string& script, double limit_s) {
    return failure_of(
        [&] {
          // The first rank ends when the second has been told to.
          PeerProcesses peers(kShell,
                              {rank(dir, 1, "read x < " + dir.path() + "/go; exit 0"),
                               rank(dir, 2, "read x < " + dir.path() + "/go; " + script)},
                              no_loss);
          std::thread go([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
            std::ofstream(dir.path() + "/go") << "1\n1\n1\n1\n";
          });
          try {
            peers.finish(limit_s);
          } catch (...) {
            go.join();
            throw;
          }
          go.join();
        },
        kind);
  };
  // Ranks that ask for the file before it is there end badly at once; a pipe lets them wait.
  REQUIRE(std::system(("mkfifo " + dir.path() + "/go").c_str()) == 0);
  CHECK(finish("exit 7", 10).find("rank 2 on GPU 2 is gone: it ended with exit code 7") == 0);
  CHECK(kind == error_kind::kRankLost);
  const std::string late = finish("sleep 100", 1);
  CHECK(kind == error_kind::kTimedOut);
  CHECK(late.find("the end of the other ranks") != std::string::npos);
}

TEST_CASE("ranks: one that ends well before it is waited for is not lost once it may end") {
  const TempDir dir;
  bool lost = false;
  {
    PeerProcesses peers(kShell, {rank(dir, 1, "sleep 0.3")}, [&](const RunError&) { lost = true; });
    peers.may_end();
    std::this_thread::sleep_for(std::chrono::milliseconds(800));
    peers.finish(1);
  }
  CHECK_FALSE(lost);
}

TEST_CASE("ranks: without the program none is left") {
  const TempDir dir;
  std::string kind;
  const std::string said = failure_of(
      [&] {
        const PeerProcesses peers(dir.path() + "/none", {rank(dir, 1, "")}, [](const RunError&) {});
      },
      kind);
  CHECK(kind == error_kind::kProcess);
  CHECK(said.find("cannot start " + dir.path() + "/none as rank 1 on GPU 1") == 0);
}

TEST_CASE("ranks: those that still run when the job is given up are killed") {
  const TempDir dir;
  pid_t pid = 0;
  {
    const PeerProcesses peers(kShell, {rank(dir, 1, "echo $$; exec sleep 100")},
                              [](const RunError&) {});
    pid = pid_in(dir.path() + "/rank-1.log");
    REQUIRE(pid > 0);
    CHECK(runs(pid));
  }
  CHECK_FALSE(runs(pid));
}

}  // namespace
}  // namespace v4cap::exec
