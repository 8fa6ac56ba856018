// What rank 0 of a job tells the other processes.
#include "exec/collectives/rank_board.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "exec/calibrate/layer_task.h"
#include "exec/driver/gpu_error.h"
#include "sim/core/error.h"

namespace v4cap::exec {
namespace {

RankMessage message(std::int64_t i) {
  return {i, -i, 3 * i, i * i, i << 20, 7};
}

TEST_CASE("rank board: two other processes hear all that was said, in order") {
  constexpr std::int64_t kMessages = 20'000;  // the ring goes round
  RankBoard board;
  int caught_up[2][2];
  pid_t children[2];
  for (int c = 0; c < 2; ++c) {
    REQUIRE(pipe(caught_up[c]) == 0);
    children[c] = fork();
    if (children[c] == 0) {
      RankBoard theirs(dup(board.fd()));
      int wrong = 0;
      for (std::int64_t i = 0; i < kMessages; ++i) {
        wrong += theirs.hear() == message(i) ? 0 : 1;
        if (i % 100 == 99 && write(caught_up[c][1], "", 1) != 1) ++wrong;
      }
      _exit(wrong == 0 ? 0 : 1);
    }
    REQUIRE(children[c] > 0);
  }
  for (std::int64_t i = 0; i < kMessages; ++i) {
    board.say(message(i));
    // In a job no rank is further ahead: the others take part in every exchange.
    char byte = 0;
    for (const auto& pipe : caught_up) {
      if (i % 100 == 99) REQUIRE(read(pipe[0], &byte, 1) == 1);
    }
  }
  for (int c = 0; c < 2; ++c) {
    int status = 0;
    waitpid(children[c], &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    close(caught_up[c][0]);
    close(caught_up[c][1]);
  }
}

TEST_CASE("rank board: whoever is too far behind ends instead of hearing something else") {
  RankBoard board;
  RankBoard theirs(dup(board.fd()));
  constexpr auto kMost = static_cast<std::int64_t>(RankBoard::kMostAhead);
  for (std::int64_t i = 0; i + 1 < kMost; ++i) board.say(message(i));
  CHECK(theirs.hear() == message(0));
  board.say(message(kMost));
  board.say(message(kMost + 1));  // its place may be that of message 1 soon
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    theirs.hear();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("rank board: another file than rank 0's is refused") {
  const auto kind_of = [](int fd) {
    try {
      const RankBoard board(fd);
    } catch (const RunError& error) {
      return error.kind();
    }
    return std::string("none");
  };
  CHECK(kind_of(987) == error_kind::kProcess);
  const int other = open("/dev/null", O_RDONLY);
  CHECK(kind_of(other) == error_kind::kProcess);
  close(other);
}

TEST_CASE("layer task: comes back from its numbers") {
  using calibrate::LayerTask;
  for (const auto what :
       {LayerTask::What::decode, LayerTask::What::longest, LayerTask::What::prefill}) {
    const LayerTask task{.what = what, .sequences = 3, .tokens = 5, .past = 7, .beyond = 11};
    CHECK(calibrate::layer_task_of(calibrate::numbers_of(task)) == task);
  }
}

}  // namespace
}  // namespace v4cap::exec
