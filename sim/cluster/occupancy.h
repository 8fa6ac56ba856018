// A time line of memory and queue, thinned evenly while it grows: when the limit is reached every
// second sample is dropped and from then on half as many are taken. What remains does not depend on
// chance.
#pragma once

#include <algorithm>
#include <cstddef>
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
