// The real time that a replay is held against; tests have a clock of their own.
#pragma once

#include "sim/core/time.h"

namespace v4cap::exec {

class ReplayClock {
 public:
  virtual ~ReplayClock() = default;
  // Since some fixed instant; never goes back.
  virtual Duration now() = 0;
  // Returns at `instant` or as soon after it as it can.
  virtual void sleep_until(Duration instant) = 0;
};

// The machine's steady clock. It sleeps up to shortly before the instant and spins from there: a
// thread that sleeps wakes up some 50 us late, which is the time of a small kernel.
class SteadyClock final : public ReplayClock {
 public:
  Duration now() override;
  void sleep_until(Duration instant) override;
};

}  // namespace v4cap::exec
