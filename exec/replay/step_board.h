// What the ranks of a replay on several GPUs tell each other: that rank 0 begins a step, and how long
// it took. Every rank runs the same engine on the same workload, so with the same times each decides
// the same, and knows the next step without being told. Shared memory that the other ranks inherit
// as a file descriptor from rank 0, which started them.
//
//   rank 0                                      others
//   StepBoard board;                            StepBoard board(fd);
//   board.begins();  perform  board.took(t);    board.wait_begin();  perform  t = board.wait_time();
#pragma once

#include <atomic>
#include <cstdint>

#include "exec/collectives/shared_memory.h"
#include "sim/core/time.h"

namespace v4cap::exec {

class StepBoard {
 public:
  StepBoard();  // on rank 0. Throws RunError "process" where there is no memory to share.
  explicit StepBoard(int fd);  // on another rank: of rank 0's. Throws RunError "process".

  int fd() const { return memory_.fd(); }  // open in processes that this one starts

  void begins();
  void took(Duration time);
  void ends();  // no step comes any more

  // Return when rank 0 has begun or timed the step after the one that was waited for last. Whoever
  // waits is ended with rank 0.
  void wait_begin();
  Duration wait_time();
  void wait_end();

 private:
  struct Shared;

  SharedMemory memory_;
  Shared* shared_ = nullptr;
  std::uint64_t begun_ = 0, timed_ = 0;  // by rank 0, or waited for
};

}  // namespace v4cap::exec
