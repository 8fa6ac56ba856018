#include "sim/core/quantiles.h"

#include <algorithm>
#include <cmath>

#include "sim/core/error.h"

namespace v4cap {

double quantile_of_sorted(const std::vector<double>& sorted, double q) {
  V4CAP_CHECK(!sorted.empty() && q >= 0 && q <= 1, "quantile of an empty sample or outside 0..1");
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = position - static_cast<double>(below);
  return sorted[below] + (sorted[above] - sorted[below]) * fraction;
}

Distribution describe(std::vector<double> sample) {
  Distribution d;
  if (sample.empty()) return d;
  std::sort(sample.begin(), sample.end());
  d.count = static_cast<std::int64_t>(sample.size());
  for (const double x : sample) d.sum += x;
  d.mean = d.sum / static_cast<double>(d.count);
  double squares = 0;
  for (const double x : sample) squares += (x - d.mean) * (x - d.mean);
  d.stddev = std::sqrt(squares / static_cast<double>(d.count));
  d.min = sample.front();
  d.max = sample.back();
  d.p1 = quantile_of_sorted(sample, 0.01);
  d.p5 = quantile_of_sorted(sample, 0.05);
  d.p10 = quantile_of_sorted(sample, 0.10);
  d.p25 = quantile_of_sorted(sample, 0.25);
  d.p50 = quantile_of_sorted(sample, 0.50);
  d.p75 = quantile_of_sorted(sample, 0.75);
  d.p90 = quantile_of_sorted(sample, 0.90);
  d.p95 = quantile_of_sorted(sample, 0.95);
  d.p99 = quantile_of_sorted(sample, 0.99);
  return d;
}

}  // namespace v4cap
