// Did requests in the system grow as long as requests came? Told from their mean number in two
// stretches of the arrivals, while the run goes on: for runs whose first and last arrival are known
// before.
#pragma once

#include <array>

#include "sim/core/earliest_of.h"
#include "sim/core/time.h"
#include "sim/core/units.h"

namespace v4cap {

// An open-loop run is saturated when the number of requests in the system grew as long as requests
// came: it is half again as high in the last tenth of the arrivals as around their middle, and by
// more than the eight requests that chance alone moves a small system.
struct BacklogStretches {
  SimTime middle_begin, middle_end, end_begin, end_end;
  static BacklogStretches of(SimTime first, SimTime last) {
    const Duration span = last - first;
    return {first + span * 2 / 5, first + span * 3 / 5, first + span * 9 / 10, last};
  }
  static bool grows(double middle, double end) { return end > 1.5 * middle && end > middle + 8; }
};

class Backlog {
 public:
  Backlog(SimTime first, SimTime last) {
    const auto s = BacklogStretches::of(first, last);
    at_ = {s.middle_begin, s.middle_end, s.end_begin, s.end_end};
  }

  // From `since` to `now` so many were in the system; `before_ns` is the integral up to `since`.
  void pass(SimTime since, SimTime now, std::int64_t in_system, Int128 before_ns) {
    for (; passed_ < at_.size() && at_[passed_] <= now; ++passed_) {
      integral_ns_[passed_] =
          before_ns + static_cast<Int128>(in_system) * (at_[passed_] - since).count();
    }
  }
  // The instant up to which the integral is needed next, when it is passed up to `passed` at least.
  SimTime next(SimTime passed) const {
    for (std::size_t i = passed_; i < at_.size(); ++i) {
      if (at_[i] > passed) return at_[i];
    }
    return kNever;
  }
  // When all that came has been passed.
  bool grows() const { return BacklogStretches::grows(mean(0), mean(2)); }

 private:
  double mean(std::size_t stretch) const {
    const Duration span = at_[stretch + 1] - at_[stretch];
    if (span <= Duration{0}) return 0;
    return static_cast<double>(integral_ns_[stretch + 1] - integral_ns_[stretch]) /
           static_cast<double>(span.count());
  }

  std::array<SimTime, 4> at_;
  std::array<Int128, 4> integral_ns_{};
  std::size_t passed_ = 0;
};

}  // namespace v4cap
