// What rank 0 of a job tells the others, in order: a few whole numbers at a time, which every other
// rank hears once. Nobody answers; rank 0 may be ahead by as much as the ranks' own exchanges let it,
// which must be less than kMostAhead.
//
//   rank 0                              others
//   RankBoard board;                    RankBoard board(fd);
//   board.say({kTask, 3, 4096});        const RankMessage m = board.hear();
#pragma once

#include <array>
#include <cstdint>

#include "exec/collectives/shared_memory.h"

namespace v4cap::exec {

using RankMessage = std::array<std::int64_t, 6>;

class RankBoard {
 public:
  static constexpr std::uint64_t kMostAhead = 256;

  RankBoard();                 // on rank 0. Throws RunError "process".
  explicit RankBoard(int fd);  // on another rank: of rank 0's. Throws RunError "process".

  int fd() const { return memory_.fd(); }

  void say(const RankMessage& message);
  // The message after the one that was heard last, once it was said. Ends the process where it may
  // have been written over: no rank is so far behind.
  RankMessage hear();

 private:
  struct Shared;

  SharedMemory memory_;
  Shared* shared_ = nullptr;
  std::uint64_t at_ = 0;  // messages said, or heard
};

}  // namespace v4cap::exec
