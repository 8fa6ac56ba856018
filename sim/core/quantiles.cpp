#include "sim/core/quantiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

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

namespace {

// Digit by digit, the least first, on keys that are ordered as the numbers are: the time of a long
// sample's sort is as that of a few passes over it, whatever its order. No number is NaN.
void sort_by_digits(std::vector<double>& sample) {
  constexpr std::size_t kBits = 11, kDigits = 6, kValues = std::size_t{1} << kBits;
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  const auto digit = [](std::uint64_t key, std::size_t d) {
    return static_cast<std::size_t>(key >> (d * kBits)) & (kValues - 1);
  };
  std::vector<std::uint64_t> keys(sample.size()), next(sample.size());
  std::vector<std::array<std::size_t, kValues>> counts(kDigits);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(sample[i]);
    keys[i] = (bits & kSign) != 0 ? ~bits : bits | kSign;
    for (std::size_t d = 0; d < kDigits; ++d) ++counts[d][digit(keys[i], d)];
  }
  for (std::size_t d = 0; d < kDigits; ++d) {
    auto& count = counts[d];
    if (count[digit(keys.front(), d)] == keys.size()) continue;  // all have the same
    std::size_t before = 0;
    for (std::size_t& here : count) before += std::exchange(here, before);
    for (const std::uint64_t key : keys) next[count[digit(key, d)]++] = key;
    keys.swap(next);
  }
  for (std::size_t i = 0; i < sample.size(); ++i) {
    sample[i] = std::bit_cast<double>((keys[i] & kSign) != 0 ? keys[i] ^ kSign : ~keys[i]);
  }
}

}  // namespace

Distribution describe(std::vector<double> sample) {
  Distribution d;
  if (sample.empty()) return d;
  constexpr std::size_t kLong = 4096;
  if (sample.size() < kLong) {
    std::sort(sample.begin(), sample.end());
  } else {
    sort_by_digits(sample);
  }
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
