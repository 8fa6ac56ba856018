#include "exec/replay/performed_cost.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "sim/core/error.h"

namespace v4cap::exec {

bool PerformedCost::idle_until(SimTime next) {
  constexpr Duration kBetweenQuestions = std::chrono::milliseconds{100};
  Duration now = clock_.now();
  if (started_ && pace_ == Pace::real_time) {
    const Duration due = zero_ + next.time_since_epoch();
    while (now < due) {
      if (stopped_ && stopped_()) return false;
      clock_.sleep_until(std::min(due, now + kBetweenQuestions));
      now = clock_.now();
    }
    late_ms_.push_back(to_ms(now - due));
  }
  started_ = true;
  zero_ = now - next.time_since_epoch();
  begin_ = now;
  return true;
}

StepTime PerformedCost::step_time(std::span<const StepPlan* const> ranks) const {
  V4CAP_CHECK(ranks.size() == 1 && started_,
              "a step of " + std::to_string(ranks.size()) + " ranks is to be performed");
  performer_.perform(*ranks.front());
  const Duration end = clock_.now();
  StepTime time;
  time.total = time.gpu = std::max(end - begin_, Duration{1});  // a clock may stand still
  time.share.measured_s = to_seconds(time.total);
  begin_ = end;
  return time;
}

StepTime FollowedCost::step_time(std::span<const StepPlan* const> ranks) const {
  V4CAP_CHECK(ranks.size() == 1, "a step of " + std::to_string(ranks.size()) + " attention ranks");
  board_.wait_begin();
  performer_.perform(*ranks.front());
  StepTime time;
  time.total = time.gpu = board_.wait_time();
  time.share.measured_s = to_seconds(time.total);
  return time;
}

}  // namespace v4cap::exec
