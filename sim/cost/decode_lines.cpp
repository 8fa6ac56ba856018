#include "sim/cost/decode_lines.h"

#include <cmath>
#include <string>
#include <type_traits>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Bounds that no real time comes near, so that whatever a profile says sums without overflow: half a
// year, and 64 us for each token more, with which a million tokens would take a layer a minute.
constexpr double kMostUs = 0x1p44, kMostSlope = 0x1p6;

ExactUs exact(double us, double most) {
  return static_cast<ExactUs>(std::nearbyint(std::clamp(us, -most, most) * kExactUnits));
}

}  // namespace

DecodeLines::DecodeLines(const SampleGrid::Row& row, std::int64_t reach)
    : is_curved_(row.is_curved()), reach_(reach) {
  if (is_curved_) {
    row_ = row;
    return;
  }
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  constexpr double kForEver = 1e15;
  for (std::int64_t past = 0;;) {
    const auto begin = static_cast<double>(past);
    const SampleGrid::Row::Line line = row.line(begin);
    lines_.push_back({exact(line.us + line.slope * (begin - line.low), kMostUs),
                      past < reach ? static_cast<std::int64_t>(exact(line.slope, kMostSlope)) : 0,
                      past, static_cast<std::size_t>(line.kind)});
    const std::int64_t next =
        line.until < kForEver ? static_cast<std::int64_t>(std::ceil(line.until)) : kEnd;
    if (past >= reach || std::min(next, reach) == kEnd) break;
    past = std::min(next, reach);
  }
  V4CAP_CHECK(lines_.size() < std::numeric_limits<std::uint16_t>::max(),
              std::to_string(lines_.size()) + " lines");
  lines_.push_back({0, 0, kEnd, 0});
  const auto fill = [&](auto& firsts, const auto& least_of) {
    std::size_t line = 0;
    for (std::size_t i = 0; i < firsts.size(); ++i) {
      while (lines_[line + 1].begin <= least_of(i)) ++line;
      firsts[i] = static_cast<std::remove_cvref_t<decltype(firsts[i])>>(line);
    }
  };
  fill(first_, [](std::size_t width) {
    return width == 0 ? std::int64_t{0} : std::int64_t{1} << (width - 1);
  });
  fill(dense_, [](std::size_t i) { return static_cast<std::int64_t>(i * kDenseTokens); });
}

void DecodeLines::add_curved(std::int64_t past, DecodeSums& sums) const {
  const SampleTime time = row_.at(static_cast<double>(std::min(past, reach_)));
  sums.us[static_cast<std::size_t>(time.kind)] += exact(time.us, kMostUs);
}

DecodeSums DecodeLines::sum_curved(std::span<const std::int64_t> past) const {
  DecodeSums sums;
  for (const std::int64_t tokens : past) add_curved(tokens, sums);
  sums.steady = 1;
  return sums;
}

}  // namespace v4cap
