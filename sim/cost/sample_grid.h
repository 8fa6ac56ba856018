// Measured times over one to four numeric axes, looked up between the points.
//
// The points form a tree: the values of the first axis, below each of them the values of the second
// that were measured with it, and so on; nothing has to be a full grid. A query brackets its value
// on the first axis, asks both sub-grids, and combines the two answers.
//
// Rules
//   between two values  linear: t is linear in x; log: t is a power of x (log t linear in log x).
//   below the first     the time at the first value.
//   above the last      on with the slope of the last segments (from the last value at or below
//                       half of the greatest, else the first), never falling. Noise of two close
//                       points does not decide it.
//   ragged              where one side of a bracket ends before the asked value and the other goes
//                       further, the longer side answers and the shorter one is scaled from it: with
//                       batch 64 measured to 16384 and batch 128 to 8192, t(128, 12000) is
//                       t(64, 12000) t(128, 8192) / t(64, 8192). Continuous where the shorter ends.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace v4cap {

inline constexpr std::size_t kSampleAxesMax = 4;

enum class Interpolation : std::uint8_t { linear, log };

// How a time came about. A result scaled from a longer neighbour is interpolated while it lies in
// the convex hull of the two neighbours, extrapolated beyond.
enum class SampleKind : std::uint8_t { measured, interpolated, extrapolated };

struct Sample {
  std::array<double, kSampleAxesMax> at{};  // in the order of the axes; the rest is 0
  double us = 0;                            // microseconds, above 0
};

struct SampleTime {
  double us = 0;
  SampleKind kind = SampleKind::measured;
};

class SampleGrid {
 public:
  // A grid whose first axis has been fixed, for queries that repeat it (the batch of a decode step
  // against many contexts): one search in one short list. The same as at() where both axes are linear
  // and at every point of the second axis; between those points near it where one is logarithmic.
  // Beyond the last value of the first axis the same only where times grow with it.
  class Row {
   public:
    SampleTime at(double second) const {
      const std::size_t i = above(second);
      if (i == 0) return {points_.front().us, SampleKind::extrapolated};
      if (is_log_ && i + 1 < points_.size()) return on_curve(i - 1, second);
      const Point& point = points_[i - 1];
      return {point.us + point.slope * (second - point.x), kind(point, second)};
    }

    // at(x) for whole x from the asked one up to `until` is us + slope (x - low), of one kind.
    struct Line {
      double us = 0, slope = 0, low = 0, until = 0;
      SampleKind kind = SampleKind::measured;
    };
    // For whole `second`. Of one point only where times are no lines.
    Line line(double second) const;
    // Times between its points are no lines.
    bool is_curved() const { return is_log_; }

   private:
    friend class SampleGrid;
    struct Point {
      double x = 0, us = 0, slope = 0;  // to the next point, of log us if log
    };
    // How many points are at or below it.
    std::size_t above(double second) const {
      constexpr double kMax = 9e18;
      const auto whole = static_cast<std::int64_t>(second < kMax ? second : kMax);
      const auto width = std::bit_width(static_cast<std::uint64_t>(whole));
      std::size_t i = first_above_[static_cast<std::size_t>(width)];
      while (points_[i].x <= second) ++i;
      return i;
    }
    SampleKind kind(const Point& point, double second) const {
      if (second > reach_ || second < reach_low_) return SampleKind::extrapolated;
      return exact_ && point.x == second ? SampleKind::measured : SampleKind::interpolated;
    }
    // Between that point of a log axis and the next.
    SampleTime on_curve(std::size_t point, double second) const;

    std::vector<Point> points_;                    // and one at infinity
    std::vector<double> log_x_, log_us_;           // of a log axis
    std::array<std::uint32_t, 65> first_above_{};  // by bit width of x: where to begin looking
    double reach_low_ = 0, reach_ = 0;             // outside it is extrapolated
    bool is_log_ = false;
    bool exact_ = false;  // the first axis hit a measured value
  };

  SampleGrid() = default;
  // One Interpolation per axis; samples in any order. At least one sample, no point twice, times
  // finite and above 0, values finite, at least 0 and on log axes above 0: readers have checked.
  SampleGrid(std::vector<Interpolation> axes, std::vector<Sample> samples);

  // Time at a point, one value per axis. A 2-axis lookup takes some tens of nanoseconds.
  SampleTime at(std::span<const double> point) const;

  // For grids of two axes.
  Row row(double first) const;

  std::size_t axes() const { return interpolation_.size(); }
  std::size_t size() const { return us_.size(); }
  // All points, ascending by first axis, then second, and so on.
  std::vector<Sample> samples() const;

 private:
  using Point = std::array<double, kSampleAxesMax>;
  // Values at one depth of the tree; node i has the children [begin[i], begin[i + 1]) below.
  struct Level {
    std::vector<double> x, log_x;
    std::vector<std::uint32_t> begin;
    // For each list of siblings and each bit width of a value: how many of the list are at or below
    // the least value of that width. A search begins there.
    std::vector<std::uint32_t> at_or_below;
  };
  // A point with what the search needs of each of its values.
  struct Query {
    Point x{}, log_x{};
    std::array<std::size_t, kSampleAxesMax> bucket{};
  };
  struct Part {
    double us = 0;
    unsigned state = 0;  // of kBetween, kOutside, kBeyond
  };
  struct Pair {
    Part low, high;
  };
  Query query(const Point& point) const;
  // Siblings [first, second) below node `list` of the level above; of the only list on the first.
  std::pair<std::size_t, std::size_t> siblings(std::size_t level, std::size_t list) const;
  std::size_t first_above(std::size_t level, std::size_t list, const Query& q) const;
  Part within(std::size_t level, std::size_t list, const Query& q) const;
  // within() of a grid of three linear axes, where the point is not above the last value of any list on
  // its way; false where it is.
  template <std::size_t kLevel>
  bool inside(std::size_t list, const std::array<double, 3>& x,
              const std::array<std::size_t, 3>& bucket, Part& part) const;
  Part within_leaves(std::size_t list, const Query& q) const;
  Part above(std::size_t level, std::size_t list, const Query& q) const;
  Part child(std::size_t level, std::size_t node, const Query& q) const;
  Pair pair(std::size_t level, std::size_t low, std::size_t high, const Query& q) const;
  Pair scaled(std::size_t level, std::size_t low, std::size_t high, const Query& q) const;
  void clamp(std::size_t level, std::size_t node, Point& q) const;
  double combined(std::size_t level, std::size_t high, const Query& q, double low_us,
                  double high_us) const;

  std::vector<Interpolation> interpolation_;
  std::array<Level, kSampleAxesMax> levels_;
  std::vector<double> us_, log_us_;  // of the leaves
  bool is_linear_3_ = false;         // three axes, all of them linear
};

// Makes times never fall along `axis`: where all other values are equal, each sample is raised to
// the greatest of those before it. Says how many were raised and by how much at most.
struct Raised {
  std::size_t samples = 0;
  double worst_pct = 0;
};
Raised raise_to_running_maximum(std::vector<Sample>& samples, std::size_t axis);

}  // namespace v4cap
