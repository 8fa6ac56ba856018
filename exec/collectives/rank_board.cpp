#include "exec/collectives/rank_board.h"

#include <atomic>
#include <new>

#include "sim/core/error.h"

namespace v4cap::exec {

struct RankBoard::Shared {
  std::atomic<std::uint64_t> said{0};
  std::array<std::array<std::atomic<std::int64_t>, std::tuple_size_v<RankMessage>>, kMostAhead>
      ring{};
};

RankBoard::RankBoard() : memory_(sizeof(Shared)) {
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);
  shared_ = new (memory_.at()) Shared;
}

RankBoard::RankBoard(int fd)
    : memory_(fd, sizeof(Shared)), shared_(static_cast<Shared*>(memory_.at())) {}

void RankBoard::say(const RankMessage& message) {
  auto& place = shared_->ring[at_ % kMostAhead];
  for (std::size_t i = 0; i < message.size(); ++i) {
    place[i].store(message[i], std::memory_order_relaxed);
  }
  shared_->said.store(++at_, std::memory_order_release);
}

RankMessage RankBoard::hear() {
  const std::uint64_t number = at_++;
  wait_until([&] { return shared_->said.load(std::memory_order_acquire) > number; });
  RankMessage message{};
  const auto& place = shared_->ring[number % kMostAhead];
  for (std::size_t i = 0; i < message.size(); ++i) {
    message[i] = place[i].load(std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  // The next message but kMostAhead - 1 may be on its way into this place.
  V4CAP_CHECK(shared_->said.load(std::memory_order_relaxed) - number < kMostAhead,
              "a rank that is too far behind");
  return message;
}

}  // namespace v4cap::exec
