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

constexpr std::size_t kBits = 11, kDigits = 6;  // of a key

// Stable, by each digit from `first` on, the least of them first.
void sort_by_digits(std::vector<std::uint64_t>& keys, std::size_t first) {
  constexpr std::size_t kValues = std::size_t{1} << kBits;
  const auto digit = [](std::uint64_t key, std::size_t d) {
    return static_cast<std::size_t>(key >> (d * kBits)) & (kValues - 1);
  };
  std::vector<std::uint64_t> next(keys.size());
  std::vector<std::array<std::size_t, kValues>> counts(kDigits);
  for (const std::uint64_t key : keys) {
    for (std::size_t d = first; d < kDigits; ++d) ++counts[d][digit(key, d)];
  }
  for (std::size_t d = first; d < kDigits; ++d) {
    auto& count = counts[d];
    if (count[digit(keys.front(), d)] == keys.size()) continue;  // all have the same
    std::size_t before = 0;
    for (std::size_t& here : count) before += std::exchange(here, before);
    for (const std::uint64_t key : keys) next[count[digit(key, d)]++] = key;
    keys.swap(next);
  }
}

// Sorts what is nearly in order. False: it was not, and is only partly sorted.
bool sort_nearly_sorted(std::vector<std::uint64_t>& keys) {
  std::size_t moves = 4 * keys.size();
  for (std::size_t i = 1; i < keys.size(); ++i) {
    const std::uint64_t key = keys[i];
    std::size_t at = i;
    for (; at > 0 && keys[at - 1] > key; --at) {
      if (moves-- == 0) {
        keys[at] = key;
        return false;
      }
      keys[at] = keys[at - 1];
    }
    keys[at] = key;
  }
  return true;
}

// Digit by digit on keys that are ordered as the numbers are: the time of a long sample's sort is as
// that of a few passes over it, whatever its order. The upper digits alone put nearly all of most
// samples in their places. No number is NaN.
void sort_by_digits(std::vector<double>& sample) {
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  std::vector<std::uint64_t> keys(sample.size());
  std::ranges::transform(sample, keys.begin(), [](double x) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    return (bits & kSign) != 0 ? ~bits : bits | kSign;
  });
  sort_by_digits(keys, kDigits / 2);
  if (!sort_nearly_sorted(keys)) sort_by_digits(keys, 0);
  std::ranges::transform(keys, sample.begin(), [](std::uint64_t key) {
    return std::bit_cast<double>((key & kSign) != 0 ? key ^ kSign : ~key);
  });
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
