// SIGINT ends a run at its next progress call, so that what it has can be written or dropped in
// order.
#pragma once

#include <csignal>

namespace v4cap {

// Catches SIGINT for as long as it lives. One at a time.
class InterruptGuard {
 public:
  InterruptGuard() : previous_(std::signal(SIGINT, [](int) { raised_ = 1; })) { raised_ = 0; }
  ~InterruptGuard() { std::signal(SIGINT, previous_); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool interrupted() { return raised_ != 0; }

 private:
  static inline volatile std::sig_atomic_t raised_ = 0;
  void (*previous_)(int);
};

}  // namespace v4cap
