#include "exec/replay/step_board.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <thread>

#include "exec/driver/gpu_error.h"
#include "sim/core/error.h"

namespace v4cap::exec {

// Times of the last steps: rank 0 may be a step ahead of whoever reads.
struct StepBoard::Shared {
  static constexpr std::size_t kTimes = 64;
  std::atomic<std::uint64_t> begun{0}, timed{0};
  std::atomic<bool> ended{false};
  std::array<std::atomic<std::int64_t>, kTimes> ns{};
};

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw RunError("memory for the ranks of a replay: " + what + ": " + std::strerror(errno),
                 error_kind::kProcess);
}

// Asks without sleeping for as long as steps follow each other, then now and then.
template <class Done>
void wait_until(const Done& done) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (std::int64_t i = 0; !done(); ++i) {
    if (i % 1024 != 1023 || Clock::now() - begin < std::chrono::seconds(1)) continue;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

}  // namespace

StepBoard::StepBoard() : fd_(::memfd_create("v4exec ranks", 0)) {  // kept open for who is started
  if (fd_ < 0) fail("memfd_create");
  if (::ftruncate(fd_, sizeof(Shared)) != 0) {
    ::close(fd_);
    fail("ftruncate");
  }
  map();
  new (shared_) Shared;
}

StepBoard::StepBoard(int fd) : fd_(fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("file descriptor " + std::to_string(fd));
  if (status.st_size != static_cast<off_t>(sizeof(Shared))) {
    throw RunError("memory for the ranks of a replay: file descriptor " + std::to_string(fd) +
                       " is something else",
                   error_kind::kProcess);
  }
  map();
}

void StepBoard::map() {
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);
  void* at = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) {
    ::close(fd_);
    fail("mmap");
  }
  shared_ = static_cast<Shared*>(at);
}

StepBoard::~StepBoard() {
  ::munmap(shared_, sizeof(Shared));
  ::close(fd_);
}

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
