#include "sim/cluster/occupancy.h"

namespace v4cap {

namespace {

void drop_every_second(std::vector<OccupancySample>& samples) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < samples.size(); i += 2) samples[kept++] = samples[i];
  samples.resize(kept);
}

}  // namespace

void OccupancyRecorder::add(const OccupancySample& sample) {
  samples_.push_back(sample);
  if (samples_.size() < limit_) return;
  // The next is at a multiple of the new distance: this one is, if it is kept.
  if (samples_.size() % 2 == 1) wait_ += stride_;
  drop_every_second(samples_);
  stride_ *= 2;
}

void OccupancyGrid::add(const OccupancySample& sample) {
  const SimTime at = next();
  samples_.push_back(sample);
  samples_.back().at = at;
  if (samples_.size() < kLimit) return;
  drop_every_second(samples_);
  spacing_ *= 2;
}

void append_life(std::vector<OccupancySample>& all, const std::vector<OccupancySample>& life,
                 std::size_t limit) {
  all.insert(all.end(), life.begin(), life.end());
  while (all.size() > std::max<std::size_t>(limit, 2)) drop_every_second(all);
}

}  // namespace v4cap
