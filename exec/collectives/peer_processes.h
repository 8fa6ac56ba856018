// The other ranks of a job on several GPUs of this host: a process each, started and watched by
// rank 0. Ranks wait for each other inside collectives, where no call returns when one of them is
// gone; so the watch is a thread, and whoever is told of a loss ends the process. Plain C++.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sim/core/error.h"

namespace v4cap::exec {

struct PeerTask {
  std::string name;                    // "rank 1 on GPU 1"
  std::vector<std::string> arguments;  // without the program's name
  std::string log;                     // its stdout and stderr
};

// Prints the error as a line of JSON and ends this process with exit code 1, for whoever waits for a
// lost rank inside a call that does not return.
[[noreturn]] void end_process(const RunError& error);

class PeerProcesses {
 public:
  // Called once, from a thread of its own, with the first rank that ended before finish(): a
  // RunError rank_lost that names it, says how it ended and what its log says last. All others have
  // been killed.
  using OnLoss = std::function<void(const RunError&)>;

  // Starts all of them. Throws RunError "process" when one cannot be started; none is left then.
  PeerProcesses(const std::string& program, const std::vector<PeerTask>& tasks, OnLoss on_loss);
  // Kills those that still run.
  ~PeerProcesses();
  PeerProcesses(const PeerProcesses&) = delete;
  PeerProcesses& operator=(const PeerProcesses&) = delete;

  // Before they are told to end: one that ends with exit code 0 from now on is not lost.
  void may_end() { may_end_ = true; }
  // They have been told to end: waits until all have ended with exit code 0. Throws RunError
  // rank_lost for one that ends otherwise, timed_out after `limit_s`; the rest is killed.
  void finish(double limit_s);

 private:
  struct Peer {
    PeerTask task;
    pid_t pid = 0;
    bool ended = false;
  };

  void watch(const std::stop_token& stop);
  void kill_all();
  // The peer that has ended badly since the last call, if any: exit code 0 counts as bad unless they
  // may end.
  std::unique_ptr<RunError> lost();
  bool all_ended() const;

  OnLoss on_loss_;
  std::atomic<bool> may_end_{false};
  std::vector<Peer> peers_;  // of the watch until finish()
  std::jthread watch_;
};

}  // namespace v4cap::exec
