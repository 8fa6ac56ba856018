#include "sim/cost/decode_lines.h"

#include <cmath>
#include <string>

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
  firsts_ = FirstLines([this](std::size_t i) { return lines_[i].begin; });
}

PairedDecodeLines::PairedDecodeLines(const DecodeLines& a, const DecodeLines& b) {
  V4CAP_CHECK(!a.is_curved() && !b.is_curved(), "curves do not go together");
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t begin = 0; begin != kEnd;) {
    Line line{.us = {}, .slope = {}, .begin = begin, .kinds = 0};
    std::int64_t next = kEnd;
    std::size_t module = 0;
    for (const DecodeLines* lines : {&a, &b}) {
      const DecodeLines::Line& own = lines->at(begin);
      line.us[module] = own.after(0);
      line.slope[module] = own.slope;
      line.kinds = line.kinds * kKinds + static_cast<std::uint32_t>(own.kind);
      next = std::min(next, (&own + 1)->begin);
      ++module;
    }
    lines_.push_back(line);
    begin = next;
  }
  V4CAP_CHECK(lines_.size() < std::numeric_limits<std::uint16_t>::max(),
              std::to_string(lines_.size()) + " lines");
  lines_.push_back({.us = {}, .slope = {}, .begin = kEnd, .kinds = 0});
  firsts_ = FirstLines([this](std::size_t i) { return lines_[i].begin; });
}

std::array<DecodeSums, 2> PairedDecodeLines::sum(std::span<const std::int64_t> past) const {
  std::array<DecodeSums, 2> sums;
  std::int64_t steady = std::numeric_limits<std::int64_t>::max();
  // Nearly all are of one kind: their sums stay in registers.
  std::uint32_t kinds = 0;
  ExactUs us_a = 0, us_b = 0, slope_a = 0, slope_b = 0;
  const auto add = [&] {
    sums[0].us[kinds / kKinds] += us_a;
    sums[1].us[kinds % kKinds] += us_b;
    sums[0].slope[kinds / kKinds] += slope_a;
    sums[1].slope[kinds % kKinds] += slope_b;
    us_a = us_b = slope_a = slope_b = 0;
  };
  for (const std::int64_t tokens : past) {
    const Line* line = lines_.data() + firsts_.at(tokens);
    while ((line + 1)->begin <= tokens) ++line;
    if (line->kinds != kinds) {
      add();
      kinds = line->kinds;
    }
    steady = std::min(steady, (line + 1)->begin - tokens);
    us_a += line->us[0] + static_cast<ExactUs>(static_cast<std::int64_t>(line->slope[0])) * tokens;
    us_b += line->us[1] + static_cast<ExactUs>(static_cast<std::int64_t>(line->slope[1])) * tokens;
    slope_a += line->slope[0];
    slope_b += line->slope[1];
  }
  add();
  sums[0].steady = sums[1].steady = steady;
  return sums;
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
