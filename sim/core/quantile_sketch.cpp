#include "sim/core/quantile_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Sign, exponent and the 9 leading bits of the mantissa name a bucket.
constexpr int kDropped = 52 - 9;

std::int64_t bucket_of(double x) {
  return static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(x) >> kDropped);
}

double lower_bound(std::int64_t bucket) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(bucket) << kDropped);
}

}  // namespace

void QuantileSketch::add(double x) {
  V4CAP_CHECK(x >= 0 && std::isfinite(x), "a sketch holds amounts");
  min_ = count_ == 0 ? x : std::min(min_, x);
  max_ = count_ == 0 ? x : std::max(max_, x);
  ++count_;
  sum_ += x;
  const double from_mean = x - running_mean_;
  running_mean_ += from_mean / static_cast<double>(count_);
  squares_ += from_mean * (x - running_mean_);
  if (x == 0) {
    ++zeros_;
    return;
  }
  const std::int64_t bucket = bucket_of(x);
  if (counts_.empty()) first_ = bucket;
  if (bucket < first_) {
    counts_.insert(counts_.begin(), static_cast<std::size_t>(first_ - bucket), 0);
    first_ = bucket;
  }
  const auto at = static_cast<std::size_t>(bucket - first_);
  if (at >= counts_.size()) counts_.resize(at + 1);
  ++counts_[at];
}

double QuantileSketch::value_at(std::int64_t rank) const {
  if (rank < zeros_) return 0;
  rank -= zeros_;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (rank < counts_[i]) {
      const std::int64_t bucket = first_ + static_cast<std::int64_t>(i);
      return std::clamp((lower_bound(bucket) + lower_bound(bucket + 1)) / 2, min_, max_);
    }
    rank -= counts_[i];
  }
  V4CAP_CHECK(false, "a sketch that does not hold what it counted");
}

double QuantileSketch::quantile(double q) const {
  const double position = q * static_cast<double>(count_ - 1);
  const auto below = static_cast<std::int64_t>(position);
  const std::int64_t above = std::min(below + 1, count_ - 1);
  const double low = value_at(below);
  return low + (value_at(above) - low) * (position - static_cast<double>(below));
}

Distribution QuantileSketch::describe() const {
  Distribution d;
  if (count_ == 0) return d;
  d.count = count_;
  d.sum = sum_;
  d.mean = sum_ / static_cast<double>(count_);
  d.stddev = std::sqrt(squares_ / static_cast<double>(count_));
  d.min = min_;
  d.max = max_;
  d.p1 = quantile(0.01);
  d.p5 = quantile(0.05);
  d.p10 = quantile(0.10);
  d.p25 = quantile(0.25);
  d.p50 = quantile(0.50);
  d.p75 = quantile(0.75);
  d.p90 = quantile(0.90);
  d.p95 = quantile(0.95);
  d.p99 = quantile(0.99);
  return d;
}

}  // namespace v4cap
