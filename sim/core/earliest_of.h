// Which of a fixed number of things that each have a next instant comes first: a tournament whose
// winner is at hand and in which one change costs a match on each level. Ties: the smaller rank,
// then the lower number. With one entry there are no levels and nothing costs anything.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/core/time.h"

namespace v4cap {

// Where nothing comes any more.
inline constexpr SimTime kNever = SimTime::max();

class EarliestOf {
 public:
  struct Next {
    SimTime at = kNever;
    std::uint8_t rank = 0;  // of two at one instant the smaller comes first
  };

  static bool comes_before(const Next& a, const Next& b) {
    return a.at != b.at ? a.at < b.at : a.rank < b.rank;
  }

  explicit EarliestOf(std::size_t count)
      : next_(count), leaves_(std::bit_ceil(count)), winners_(2 * leaves_, kNobody) {
    for (std::size_t i = 0; i < count; ++i) winners_[leaves_ + i] = static_cast<std::uint32_t>(i);
    for (std::size_t node = leaves_; node-- > 1;) play(node);
  }

  void set(std::size_t i, Next next) {
    next_[i] = next;
    for (std::size_t node = (leaves_ + i) / 2; node > 0; node /= 2) play(node);
  }
  // Of the one that comes first; its `at` is kNever when none does.
  const Next& next() const { return next_[first()]; }
  std::size_t first() const { return winners_[1]; }

 private:
  static constexpr std::uint32_t kNobody = 0xffffffffU;

  void play(std::size_t node) {
    const std::uint32_t a = winners_[2 * node], b = winners_[2 * node + 1];
    winners_[node] = b == kNobody || !comes_before(next_[b], next_[a]) ? a : b;
  }

  std::vector<Next> next_;
  std::size_t leaves_;
  std::vector<std::uint32_t> winners_;  // winners_[1]: of all; winners_[leaves_ + i]: i itself
};

}  // namespace v4cap
