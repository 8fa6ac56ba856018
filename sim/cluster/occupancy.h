// A time line of memory and queue, thinned evenly while it grows: when the limit is reached every
// second sample is dropped and from then on half as many are taken. What remains does not depend on
// chance.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/core/earliest_of.h"
#include "sim/output/record.h"

namespace v4cap {

class OccupancyRecorder {
 public:
  static constexpr std::size_t kLimit = 4096;
  explicit OccupancyRecorder(std::size_t limit = kLimit) : limit_(limit) {}
  // Forgets all.
  void restart() { *this = OccupancyRecorder(limit_); }

  // True when the coming step is one to sample.
  bool due() {
    if (wait_ > 0) {
      --wait_;
      return false;
    }
    wait_ = stride_ - 1;
    return true;
  }
  void add(const OccupancySample& sample);
  std::vector<OccupancySample> take() { return std::move(samples_); }

 private:
  std::size_t limit_;
  std::int64_t stride_ = 1, wait_ = 0;  // wait_: steps before the next sample
  std::vector<OccupancySample> samples_;
};

// A time line of several replicas, whose steps are no clock: at equal distances from an instant on,
// as things are before anything happens then. When the limit is reached every second sample is
// dropped and from then on they are twice as far apart. What is kept depends on the last instant
// alone.
class OccupancyGrid {
 public:
  static constexpr std::size_t kLimit = OccupancyRecorder::kLimit;
  static constexpr Duration kFinest{1'000'000};

  // Forgets all; nothing is due until the next begin().
  void restart() { *this = OccupancyGrid(); }
  // The first sample is of `at`, unless there are some.
  void begin(SimTime at) { origin_ = origin_ == kNever ? at : origin_; }
  // Of the next sample.
  SimTime next() const { return origin_ == kNever ? kNever : after(0); }
  // Of the one so many after it, if none is dropped before.
  SimTime after(std::size_t more) const {
    return origin_ + spacing_ * static_cast<std::int64_t>(samples_.size() + more);
  }
  // So many can be added before some are dropped, with the last of them.
  std::size_t room() const { return kLimit - samples_.size(); }
  // That of next(), whatever time it says itself.
  void add(const OccupancySample& sample);
  std::vector<OccupancySample> take() { return std::move(samples_); }

 private:
  SimTime origin_ = kNever;
  Duration spacing_ = kFinest;
  std::vector<OccupancySample> samples_;
};

// Most samples of each of so many time lines, of replicas or ranks: together they are a file of a
// few megabytes.
constexpr std::size_t samples_of_each(std::size_t lines) {
  constexpr std::size_t kAll = 32'768, kFewest = 32, kMost = 512;
  return std::clamp(kAll / std::max<std::size_t>(lines, 1), kFewest, kMost);
}

// A replica that was lost comes back with a new time line: appends it, and drops every second sample
// of all while they are more than `limit`.
void append_life(std::vector<OccupancySample>& all, const std::vector<OccupancySample>& life,
                 std::size_t limit);

}  // namespace v4cap
