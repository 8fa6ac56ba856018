// Ranks of a replay on several GPUs: what rank 0 measures decides on all of them.
#include "exec/replay/step_board.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "exec/driver/gpu_error.h"
#include "exec/replay/performed_cost.h"
#include "tests/exec/replay/fake_world.h"
#include "tests/sim/cluster/random_sessions.h"

namespace v4cap::exec {
namespace {

TEST_CASE("step board: times reach another process, in order") {
  constexpr int kSteps = 5000;  // the ring goes round
  StepBoard board;
  int caught_up[2];
  REQUIRE(pipe(caught_up) == 0);
  const pid_t child = fork();
  if (child == 0) {
    StepBoard theirs(dup(board.fd()));
    int wrong = 0;
    for (int i = 0; i < kSteps; ++i) {
      theirs.wait_begin();
      wrong += theirs.wait_time() == Duration{1000 + i} ? 0 : 1;
      if (i % 32 == 31 && write(caught_up[1], "", 1) != 1) ++wrong;
    }
    theirs.wait_end();
    _exit(wrong == 0 ? 0 : 1);
  }
  REQUIRE(child > 0);
  for (int i = 0; i < kSteps; ++i) {
    board.begins();
    board.took(Duration{1000 + i});
    // In a run no rank is further ahead: the others take part in every step.
    char byte = 0;
    if (i % 32 == 31) REQUIRE(read(caught_up[0], &byte, 1) == 1);
  }
  board.ends();
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  close(caught_up[0]);
  close(caught_up[1]);
}

TEST_CASE("step board: another file than rank 0's is refused") {
  const auto kind_of = [](int fd) {
    try {
      const StepBoard board(fd);
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

// Counts its steps, and takes none of the time that rank 0 takes.
class CountingPerformer final : public StepPerformer {
 public:
  void perform(const StepPlan&) override { ++steps; }
  std::atomic<std::int64_t> steps = 0;
};

// On rank 0: ends its step when the other has begun it, as sums between them make it.
class JoinedPerformer final : public StepPerformer {
 public:
  JoinedPerformer(StepPerformer& performer, const CountingPerformer& other)
      : performer_(performer), other_(other) {}
  void perform(const StepPlan& plan) override {
    performer_.perform(plan);
    ++steps_;
    while (other_.steps < steps_) std::this_thread::yield();
  }

 private:
  StepPerformer& performer_;
  const CountingPerformer& other_;
  std::int64_t steps_ = 0;
};

TEST_CASE("ranks of a replay: each decides what rank 0 decides") {
  for (const std::string policy : {"full", "checkpoint=128", "recompute"}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(policy);
      CAPTURE(seed);
      const Trace trace = random_sessions(seed, 50);
      const ToyEngine engine = tight_engine(policy);
      const WorkloadConfig config = seed % 2 == 0 ? closed_loop(12) : WorkloadConfig{};
      StepBoard board;
      LoggedRun followed;
      CountingPerformer other;
      std::thread rank1([&] {
        StepBoard theirs(dup(board.fd()));
        const FollowedCost cost(other, theirs);
        followed = play_logged(trace, config, engine, cost);
        theirs.wait_end();
      });
      FakeClock clock;
      FakePerformer performer(clock, seed);
      JoinedPerformer joined(performer, other);
      AnnouncedPerformer announced(joined, board);
      PerformedCost cost(announced, clock, Pace::real_time);
      HostRules host;
      host.idle_until = [&](SimTime next) { cost.idle_until(next); };
      // What play_logged() notes of a step, and what replay() tells the others.
      const LoggedRun real = [&] {
        Replica replica(engine.make());
        LoggedRun run;
        RunLog log(
            replica, [&](std::string_view text) { run.steps += text; },
            [&](std::string_view text) { run.decisions += text; });
        host.step_timed = [&](SimTime begin, std::span<const StepPlan* const> ranks,
                              const StepTime& time) {
          log.step_timed(begin, ranks, time);
          board.took(time.total);
        };
        run.result = play_on(replica, trace, config, cost, 1, host);
        return run;
      }();
      board.ends();
      rank1.join();
      CHECK(followed.decisions == real.decisions);
      CHECK(followed.steps == real.steps);
      CHECK(followed.result.totals.result_hash == real.result.totals.result_hash);
      CHECK(other.steps == static_cast<std::int64_t>(performer.begins.size()));
      CHECK(other.steps > 100);
    }
  }
}

}  // namespace
}  // namespace v4cap::exec
