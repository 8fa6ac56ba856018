#include "exec/replay/step_board.h"

#include <array>
#include <new>
#include <string>

#include "sim/core/error.h"

namespace v4cap::exec {

// Times of the last steps: rank 0 may be a step ahead of whoever reads.
struct StepBoard::Shared {
  static constexpr std::size_t kTimes = 64;
  std::atomic<std::uint64_t> begun{0}, timed{0};
  std::atomic<bool> ended{false};
  std::array<std::atomic<std::int64_t>, kTimes> ns{};
};

StepBoard::StepBoard() : memory_(sizeof(Shared)) {
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);
  shared_ = new (memory_.at()) Shared;
}

StepBoard::StepBoard(int fd)
    : memory_(fd, sizeof(Shared)), shared_(static_cast<Shared*>(memory_.at())) {}

void StepBoard::begins() {
  shared_->begun.store(++begun_, std::memory_order_release);
}

void StepBoard::took(Duration time) {
  V4CAP_CHECK(timed_ < begun_, "a time of step " + std::to_string(timed_));
  shared_->ns[timed_ % Shared::kTimes].store(time.count(), std::memory_order_relaxed);
  shared_->timed.store(++timed_, std::memory_order_release);
}

void StepBoard::ends() {
  shared_->ended.store(true, std::memory_order_release);
}

void StepBoard::wait_end() {
  wait_until([&] { return shared_->ended.load(std::memory_order_acquire); });
}

void StepBoard::wait_begin() {
  ++begun_;
  wait_until([&] { return shared_->begun.load(std::memory_order_acquire) >= begun_; });
}

Duration StepBoard::wait_time() {
  const std::uint64_t step = timed_++;
  wait_until([&] { return shared_->timed.load(std::memory_order_acquire) > step; });
  V4CAP_CHECK(shared_->timed.load(std::memory_order_acquire) - step <= Shared::kTimes,
              "a rank that is too far behind");
  return Duration{shared_->ns[step % Shared::kTimes].load(std::memory_order_relaxed)};
}

}  // namespace v4cap::exec
