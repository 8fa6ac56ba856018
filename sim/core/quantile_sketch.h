// Quantiles of a sample that is too long to be kept: counts of buckets whose bounds grow
// geometrically, cut out of the bits of a double, so that no logarithm's last bit and no order of
// the sample decides what comes out. An octave has 512 buckets, a value stands for the middle of
// its own: each is known to one part in 1,024, and so is every quantile between two of them.
// Count, sum, mean, extremes and standard deviation are those of the values themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/quantiles.h"

namespace v4cap {

class QuantileSketch {
 public:
  // Of quantiles, relative to their value.
  static constexpr double kRelativeError = 1.0 / 1024;

  // x >= 0 and finite. Sums run in the order given.
  void add(double x);
  // As describe() of the whole sample, quantiles within kRelativeError of it.
  Distribution describe() const;

 private:
  // Of the order statistic `rank`, from 0.
  double value_at(std::int64_t rank) const;
  double quantile(double q) const;

  std::int64_t count_ = 0, zeros_ = 0;
  double sum_ = 0, min_ = 0, max_ = 0;
  double running_mean_ = 0, squares_ = 0;  // Welford's: sum of squared distances from the mean
  std::int64_t first_ = 0;                 // bucket that counts_ begins with
  std::vector<std::int64_t> counts_;
};

}  // namespace v4cap
