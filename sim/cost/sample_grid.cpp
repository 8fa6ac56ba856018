#include "sim/cost/sample_grid.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "sim/core/error.h"

namespace v4cap {

namespace {

constexpr unsigned kBetween = 1;  // not a point that was measured
constexpr unsigned kOutside = 2;  // outside of what was measured
constexpr unsigned kBeyond = 4;   // above the last value of some axis

std::size_t bucket_of(double x) {
  constexpr double kMax = 9e18;
  // Signed, which one instruction converts to.
  const auto whole = static_cast<std::int64_t>(std::clamp(x, 0.0, kMax));
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(whole)));
}

constexpr std::size_t kBuckets = 65;  // bit widths 0 to 64

// The least values of each bit width.
constexpr std::array<double, kBuckets> kBucketBegin = [] {
  std::array<double, kBuckets> out{0, 1};
  for (std::size_t bucket = 2; bucket < kBuckets; ++bucket) out[bucket] = 2 * out[bucket - 1];
  return out;
}();

std::size_t first_above_in(const std::vector<double>& values, std::size_t begin, std::size_t end,
                           double x) {
  const auto from = values.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto to = values.begin() + static_cast<std::ptrdiff_t>(end);
  return static_cast<std::size_t>(std::upper_bound(from, to, x) - values.begin());
}

// From where the slope beyond the last of [begin, end) is taken.
std::size_t slope_from(const std::vector<double>& x, std::size_t begin, std::size_t end) {
  std::size_t low = end - 1;
  while (low > begin && x[low] > x[end - 1] / 2) --low;
  return low;
}

}  // namespace

SampleGrid::SampleGrid(std::vector<Interpolation> axes, std::vector<Sample> samples)
    : interpolation_(std::move(axes)) {
  const std::size_t n = interpolation_.size();
  V4CAP_CHECK(n >= 1 && n <= kSampleAxesMax && !samples.empty(), std::to_string(n));
  is_linear_3_ = n == 3 && std::ranges::count(interpolation_, Interpolation::linear) == 3;
  // Files have them in order.
  if (!std::ranges::is_sorted(samples, {}, &Sample::at)) {
    std::ranges::sort(samples, {}, &Sample::at);
  }
  const bool logs = interpolation_.back() == Interpolation::log;  // of leaves
  us_.reserve(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Sample& s = samples[i];
    std::size_t level = 0;  // the first at which this sample differs from the one before
    while (i > 0 && level < n && s.at[level] == samples[i - 1].at[level]) ++level;
    V4CAP_CHECK(level < n && s.us > 0 && std::isfinite(s.us), std::to_string(s.us));
    for (; level < n; ++level) {
      const double x = s.at[level];
      const bool is_log = interpolation_[level] == Interpolation::log;
      V4CAP_CHECK(std::isfinite(x) && (is_log ? x > 0 : x >= 0), std::to_string(x));
      Level& here = levels_[level];
      here.x.push_back(x);
      here.log_x.push_back(is_log ? std::log(x) : 0);
      if (level + 1 < n) {
        here.begin.push_back(static_cast<std::uint32_t>(levels_[level + 1].x.size()));
      }
    }
    us_.push_back(s.us);
    if (logs) log_us_.push_back(std::log(s.us));
  }
  for (std::size_t level = 0; level + 1 < n; ++level) {
    levels_[level].begin.push_back(static_cast<std::uint32_t>(levels_[level + 1].x.size()));
  }
  for (std::size_t level = 0; level < n; ++level) {
    const std::size_t lists = level == 0 ? 1 : levels_[level - 1].x.size();
    Level& here = levels_[level];
    here.at_or_below.reserve(lists * kBuckets);
    for (std::size_t list = 0; list < lists; ++list) {
      const auto [begin, end] = siblings(level, list);
      std::size_t above = begin;
      for (const double bucket_begin : kBucketBegin) {
        while (above < end && here.x[above] <= bucket_begin) ++above;
        here.at_or_below.push_back(static_cast<std::uint32_t>(above - begin));
      }
    }
  }
}

inline std::pair<std::size_t, std::size_t> SampleGrid::siblings(std::size_t level,
                                                                std::size_t list) const {
  if (level == 0) return {0, levels_[0].x.size()};
  const std::vector<std::uint32_t>& begin = levels_[level - 1].begin;
  return {begin[list], begin[list + 1]};
}

SampleGrid::Query SampleGrid::query(const Point& point) const {
  Query q;
  q.x = point;
  for (std::size_t i = 0; i < axes(); ++i) {
    q.bucket[i] = bucket_of(point[i]);
    if (interpolation_[i] == Interpolation::log) q.log_x[i] = std::log(point[i]);
  }
  return q;
}

inline std::size_t SampleGrid::first_above(std::size_t level, std::size_t list,
                                           const Query& q) const {
  const auto [begin, end] = siblings(level, list);
  const Level& here = levels_[level];
  std::size_t at = begin + here.at_or_below[list * kBuckets + q.bucket[level]];
  while (at < end && here.x[at] <= q.x[level]) ++at;
  return at;
}

std::vector<Sample> SampleGrid::samples() const {
  std::vector<Sample> out(us_.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].us = us_[i];
    std::size_t node = i;
    for (std::size_t level = axes(); level-- > 0;) {
      out[i].at[level] = levels_[level].x[node];
      if (level == 0) break;
      const auto& begin = levels_[level - 1].begin;
      node = static_cast<std::size_t>(std::ranges::upper_bound(begin, node) - begin.begin()) - 1;
    }
  }
  return out;
}

inline double SampleGrid::combined(std::size_t level, std::size_t high, const Query& q,
                                   double low_us, double high_us) const {
  const Level& here = levels_[level];
  if (interpolation_[level] == Interpolation::linear) {
    const double x0 = here.x[high - 1];
    return low_us + (high_us - low_us) * ((q.x[level] - x0) / (here.x[high] - x0));
  }
  const double x0 = here.log_x[high - 1];
  const double w = (q.log_x[level] - x0) / (here.log_x[high] - x0);
  if (level + 1 == axes()) {  // leaves have their logarithms
    return std::exp(log_us_[high - 1] + w * (log_us_[high] - log_us_[high - 1]));
  }
  return low_us * std::exp(w * std::log(high_us / low_us));
}

SampleGrid::Part SampleGrid::child(std::size_t level, std::size_t node, const Query& q) const {
  if (level + 1 == axes()) return {us_[node], 0};
  return within(level + 1, node, q);
}

// On the last level, which most of the nodes that a query visits are on.
inline SampleGrid::Part SampleGrid::within_leaves(std::size_t list, const Query& q) const {
  const std::size_t level = axes() - 1;
  const Level& here = levels_[level];
  const auto [begin, end] = siblings(level, list);
  const double x = q.x[level];
  std::size_t high = begin + here.at_or_below[list * kBuckets + q.bucket[level]];
  while (high < end && here.x[high] <= x) ++high;
  if (high == begin) return {us_[begin], kBetween | kOutside};
  if (here.x[high - 1] == x) return {us_[high - 1], 0};
  if (high == end) return above(level, list, q);
  return {combined(level, high, q, us_[high - 1], us_[high]), kBetween};
}

SampleGrid::Part SampleGrid::within(std::size_t level, std::size_t list, const Query& q) const {
  if (level + 1 == axes()) return within_leaves(list, q);
  const Level& here = levels_[level];
  const auto [begin, end] = siblings(level, list);
  const std::size_t high = first_above(level, list, q);
  if (high == begin) {
    Part part = child(level, begin, q);
    part.state |= kBetween | kOutside;
    return part;
  }
  if (here.x[high - 1] == q.x[level]) return child(level, high - 1, q);
  if (high == end) return above(level, list, q);
  const Pair sides = pair(level, high - 1, high, q);
  return {combined(level, high, q, sides.low.us, sides.high.us),
          sides.low.state | sides.high.state | kBetween};
}

template <std::size_t kLevel>
inline bool SampleGrid::inside(std::size_t list, const std::array<double, 3>& x,
                               const std::array<std::size_t, 3>& bucket, Part& part) const {
  const auto below = [&](std::size_t node, Part& of_node) {
    if constexpr (kLevel == 2) {
      of_node = {us_[node], 0};
      return true;
    } else {
      return inside<kLevel + 1>(node, x, bucket, of_node);
    }
  };
  const Level& here = levels_[kLevel];
  const auto [begin, end] = siblings(kLevel, list);
  const double own = x[kLevel];
  std::size_t high = begin + here.at_or_below[list * kBuckets + bucket[kLevel]];
  while (high < end && here.x[high] <= own) ++high;
  if (high == begin) {
    if (!below(begin, part)) return false;
    part.state |= kBetween | kOutside;
    return true;
  }
  const double x0 = here.x[high - 1];
  if (x0 == own) return below(high - 1, part);
  Part low, above;
  if (high == end || !below(high - 1, low) || !below(high, above)) return false;
  part = {low.us + (above.us - low.us) * ((own - x0) / (here.x[high] - x0)),
          low.state | above.state | kBetween};
  return true;
}

SampleGrid::Part SampleGrid::above(std::size_t level, std::size_t list, const Query& q) const {
  const Level& here = levels_[level];
  const auto [begin, end] = siblings(level, list);
  const std::size_t last = end - 1, low = slope_from(here.x, begin, end);
  if (low == last) return {child(level, last, q).us, kBetween | kOutside | kBeyond};
  const Pair sides = pair(level, low, last, q);
  const double slope = std::max(0.0, (sides.high.us - sides.low.us) / (here.x[last] - here.x[low]));
  return {sides.high.us + slope * (q.x[level] - here.x[last]), kBetween | kOutside | kBeyond};
}

SampleGrid::Pair SampleGrid::pair(std::size_t level, std::size_t low, std::size_t high,
                                  const Query& q) const {
  const Pair sides{child(level, low, q), child(level, high, q)};
  if (((sides.low.state | sides.high.state) & kBeyond) == 0) return sides;
  return scaled(level, low, high, q);
}

// At least one of the two sides does not reach the asked point.
SampleGrid::Pair SampleGrid::scaled(std::size_t level, std::size_t low, std::size_t high,
                                    const Query& q) const {
  Pair sides{child(level, low, q), child(level, high, q)};
  Point reach_low = q.x, reach_high = q.x;
  clamp(level, low, reach_low);
  clamp(level, high, reach_high);
  if (reach_low == reach_high) return sides;
  const bool low_is_longer = reach_low > reach_high;
  const std::size_t longer = low_is_longer ? low : high, shorter = low_is_longer ? high : low;
  const Query edge = query(low_is_longer ? reach_high : reach_low);
  Part& base = low_is_longer ? sides.low : sides.high;
  Part& other = low_is_longer ? sides.high : sides.low;
  other.us = base.us * child(level, shorter, edge).us / child(level, longer, edge).us;
  other.state = base.state;
  if ((base.state & kBeyond) != 0) return sides;
  // In the hull of both? Its edge runs straight from the end of one side to the end of the other.
  std::size_t axis = level + 1;
  while (edge.x[axis] == q.x[axis]) ++axis;
  Point far = q.x;
  far[axis] = std::numeric_limits<double>::infinity();
  clamp(level, longer, far);
  const Level& here = levels_[level];
  const double w = std::abs(q.x[level] - here.x[longer]) / (here.x[high] - here.x[low]);
  if (q.x[axis] > far[axis] + w * (edge.x[axis] - far[axis])) other.state |= kOutside;
  return sides;
}

// Lowers `q` to what the sub-grid below `node` reaches; of the two sides of a bracket the longer.
void SampleGrid::clamp(std::size_t level, std::size_t node, Point& q) const {
  if (level + 1 == axes()) return;
  const std::size_t begin = levels_[level].begin[node], end = levels_[level].begin[node + 1];
  const std::vector<double>& x = levels_[level + 1].x;
  double& own = q[level + 1];
  own = std::min(own, x[end - 1]);
  const std::size_t high = first_above_in(x, begin, end, own);
  const std::size_t low = high == begin ? begin : high - 1;
  Point other = q;
  clamp(level + 1, low, q);
  if (high == begin || high == end || x[low] == own) return;
  clamp(level + 1, high, other);
  q = std::max(q, other);
}

SampleTime SampleGrid::at(std::span<const double> point) const {
  V4CAP_CHECK(point.size() == axes(), std::to_string(point.size()));
  Part part;
  const auto is_inside = [&] {
    if (point.size() != 3) return false;
    const std::array<double, 3> x{point[0], point[1], point[2]};
    return inside<0>(0, x, {bucket_of(x[0]), bucket_of(x[1]), bucket_of(x[2])}, part);
  };
  if (!is_linear_3_ || !is_inside()) {
    Point q{};
    std::ranges::copy(point, q.begin());
    part = within(0, 0, query(q));
  }
  const SampleKind kind = (part.state & kOutside) != 0   ? SampleKind::extrapolated
                          : (part.state & kBetween) != 0 ? SampleKind::interpolated
                                                         : SampleKind::measured;
  return {part.us, kind};
}

SampleGrid::Row SampleGrid::row(double first) const {
  V4CAP_CHECK(axes() == 2, std::to_string(axes()));
  const Level& outer = levels_[0];
  const std::vector<double>& inner = levels_[1].x;
  const std::size_t end = outer.x.size(), high = first_above_in(outer.x, 0, end, first);
  std::size_t a = high == 0 ? 0 : high - 1, b = high == end ? end - 1 : high;
  Row row;
  row.exact_ = high > 0 && outer.x[a] == first;
  const bool inside = row.exact_ || (high > 0 && high < end);
  if (row.exact_ || high == 0) b = a;
  if (high == end && !row.exact_) a = slope_from(outer.x, 0, end);
  std::vector<double> x;
  for (const std::size_t node : {a, b}) {
    x.insert(x.end(), inner.begin() + outer.begin[node], inner.begin() + outer.begin[node + 1]);
  }
  std::ranges::sort(x);
  x.erase(std::unique(x.begin(), x.end()), x.end());
  const double reach_a = inner[outer.begin[a + 1] - 1], reach_b = inner[outer.begin[b + 1] - 1];
  const double w = a == b ? 0 : (first - outer.x[a]) / (outer.x[b] - outer.x[a]);
  row.reach_ = inside ? reach_a + w * (reach_b - reach_a) : -1;
  row.reach_low_ = std::max(inner[outer.begin[a]], inner[outer.begin[b]]);
  row.is_log_ = interpolation_[1] == Interpolation::log;
  for (const double at_x : x) {
    row.points_.push_back({at_x, at(std::array{first, at_x}).us, 0});
    if (row.is_log_) {
      row.log_x_.push_back(std::log(at_x));
      row.log_us_.push_back(std::log(row.points_.back().us));
    }
  }
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    row.points_[i].slope =
        row.is_log_ ? (row.log_us_[i + 1] - row.log_us_[i]) / (row.log_x_[i + 1] - row.log_x_[i])
                    : (row.points_[i + 1].us - row.points_[i].us) / (x[i + 1] - x[i]);
  }
  Row::Point& last = row.points_.back();
  const double step = last.x + 1;  // beyond it the time is linear
  last.slope = (at(std::array{first, last.x + step}).us - last.us) / step;
  row.points_.push_back({std::numeric_limits<double>::infinity(), 0, 0});
  for (std::size_t k = 0; k < row.first_above_.size(); ++k) {
    row.first_above_[k] =
        static_cast<std::uint32_t>(first_above_in(x, 0, x.size(), kBucketBegin[k]));
  }
  return row;
}

SampleTime SampleGrid::Row::on_curve(std::size_t i, double second) const {
  return {std::exp(log_us_[i] + points_[i].slope * (std::log(second) - log_x_[i])),
          kind(points_[i], second)};
}

SampleGrid::Row::Line SampleGrid::Row::line(double second) const {
  const std::size_t i = above(second);
  const Point& next = points_[i];
  if (i == 0) {
    return {next.us, 0, second, next.x, SampleKind::extrapolated};
  }
  const Point& point = points_[i - 1];
  const SampleKind kind_here = kind(point, second);
  const bool is_curve = is_log_ && i + 1 < points_.size();
  if (is_curve || kind_here == SampleKind::measured) {
    return {at(second).us, 0, second, second + 1, kind_here};
  }
  double until = next.x;
  if (second < reach_low_) {
    until = std::min(until, reach_low_);
  } else if (second <= reach_) {
    until = std::min(until, std::floor(reach_) + 1);
  }
  return {point.us, point.slope, point.x, until, kind_here};
}

Raised raise_to_running_maximum(std::vector<Sample>& samples, std::size_t axis) {
  const auto line = [axis](const Sample& s) {
    std::array<double, kSampleAxesMax> rest = s.at;
    rest[axis] = 0;
    return std::tuple(rest, s.at[axis]);
  };
  std::ranges::sort(samples, {}, line);
  Raised raised;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const double before = samples[i - 1].us;
    if (std::get<0>(line(samples[i])) != std::get<0>(line(samples[i - 1]))) continue;
    if (samples[i].us >= before) continue;
    ++raised.samples;
    raised.worst_pct = std::max(raised.worst_pct, 100 * (before / samples[i].us - 1));
    samples[i].us = before;
  }
  return raised;
}

}  // namespace v4cap
