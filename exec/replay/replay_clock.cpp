#include "exec/replay/replay_clock.h"

#include <chrono>
#include <thread>

namespace v4cap::exec {

Duration SteadyClock::now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

void SteadyClock::sleep_until(Duration instant) {
  constexpr Duration kSpin = std::chrono::microseconds{200};
  if (const Duration left = instant - now(); left > kSpin) {
    std::this_thread::sleep_for(left - kSpin);
  }
  while (now() < instant) continue;
}

}  // namespace v4cap::exec
