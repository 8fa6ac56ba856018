#include "sim/cluster/occupancy.h"

namespace v4cap {

void OccupancyRecorder::add(const OccupancySample& sample) {
  samples_.push_back(sample);
  if (samples_.size() < limit_) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < samples_.size(); i += 2) samples_[kept++] = samples_[i];
  samples_.resize(kept);
  stride_ *= 2;
}

}  // namespace v4cap
