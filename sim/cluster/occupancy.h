// A time line of memory and queue, thinned evenly while it grows: when the limit is reached every
// second sample is dropped and from then on half as many are taken. What remains does not depend on
// chance.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/output/record.h"

namespace v4cap {

class OccupancyRecorder {
 public:
  static constexpr std::size_t kLimit = 4096;
  explicit OccupancyRecorder(std::size_t limit = kLimit) : limit_(limit) {}
  // Forgets all.
  void restart() { *this = OccupancyRecorder(limit_); }

  // True when the coming step is one to sample.
  bool due() { return step_++ % stride_ == 0; }
  void add(const OccupancySample& sample);
  std::vector<OccupancySample> take() { return std::move(samples_); }

 private:
  std::size_t limit_;
  std::int64_t step_ = 0, stride_ = 1;
  std::vector<OccupancySample> samples_;
};

}  // namespace v4cap
