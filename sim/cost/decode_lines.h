// Times of decode steps of one batch size against whole numbers of past tokens, as straight lines in
// whole multiples of kExactUnit. Sums over sequences are therefore exact: they depend neither on the
// order of the sequences nor on how many steps are taken at once, so that what a batch takes after so
// many steps is what it takes now and its slope for each.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/core/units.h"
#include "sim/cost/sample_grid.h"

namespace v4cap {

// Times in multiples of 2^-56 us. Slopes are rounded to it, too: a million tokens of context are off by
// less than a hundred-thousandth of a picosecond.
using ExactUs = Int128;
inline constexpr double kExactUnits = 0x1p56;  // in a microsecond

// Rounded once, of less than 2^106.
inline double to_double(ExactUs units) {
  constexpr int kBits = 53;
  const auto high = static_cast<std::int64_t>(units >> kBits);
  const auto low = static_cast<std::int64_t>(units & ((std::int64_t{1} << kBits) - 1));
  return static_cast<double>(high) * 0x1p53 + static_cast<double>(low);
}

// Sums over sequences that decode, by SampleKind.
struct DecodeSums {
  std::array<ExactUs, 3> us{};
  std::array<ExactUs, 3> slope{};  // of that, a token more each
  // For so many steps, this one among them, the slopes are what is added from one to the next.
  std::int64_t steady = std::numeric_limits<std::int64_t>::max();

  // So many steps later, fewer than `steady`.
  void go_on(std::int64_t steps) {
    for (std::size_t kind = 0; kind < us.size(); ++kind) us[kind] += slope[kind] * steps;
    steady -= steps;
  }
  // Microseconds, the mean over so many sequences.
  double mean(std::size_t kind, double sequences) const {
    return to_double(us[kind]) / (kExactUnits * sequences);
  }
};

// Where to begin looking for the line of a context: the lines of multiples of kDenseTokens, and of the
// least numbers of each bit width.
class FirstLines {
 public:
  FirstLines() = default;
  // `begins(i)`: where line i begins; the last one does so beyond all contexts.
  template <class Begins>
  explicit FirstLines(const Begins& begins) {
    const auto fill = [&](auto& firsts, const auto& least_of) {
      std::size_t line = 0;
      for (std::size_t i = 0; i < firsts.size(); ++i) {
        while (begins(line + 1) <= least_of(i)) ++line;
        firsts[i] = static_cast<std::uint16_t>(line);
      }
    };
    fill(wide_, [](std::size_t width) {
      return width == 0 ? std::int64_t{0} : std::int64_t{1} << (width - 1);
    });
    fill(dense_, [](std::size_t i) { return static_cast<std::int64_t>(i * kDenseTokens); });
  }

  std::size_t at(std::int64_t past) const {
    if (past < kDense) return dense_[static_cast<std::size_t>(past) / kDenseTokens];
    return wide_[static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(past)))];
  }

 private:
  static constexpr std::int64_t kDense = 8192;
  static constexpr std::size_t kDenseTokens = 64;

  std::array<std::uint16_t, static_cast<std::size_t>(kDense) / kDenseTokens> dense_{};
  std::array<std::uint16_t, 64> wide_{};
};

class DecodeLines {
 public:
  // Between its points each context is looked up.
  bool is_curved() const { return is_curved_; }

  // Of a row of a grid over batch rows and past tokens; beyond `reach` tokens as with so many.
  DecodeLines(const SampleGrid::Row& row, std::int64_t reach);

  // What a sequence with so many tokens before its next one takes. 0 <= past < 2^31.
  void add(std::int64_t past, DecodeSums& sums) const {
    if (is_curved_) return add_curved(past, sums);
    const Line& line = at(past);
    sums.us[line.kind] += line.after(past);
  }
  // Of all of them, of which none has less than `least`; `slopes`: with slopes and for how many steps
  // they hold.
  DecodeSums sum(std::span<const std::int64_t> past, std::int64_t least = 0,
                 bool slopes = false) const {
    if (is_curved_) return sum_curved(past);
    if (least >= reach_) return sum_at_reach(past.size());
    return slopes ? sum_of<true>(past) : sum_of<false>(past);
  }

 private:
  friend class PairedDecodeLines;
  struct Line {
    ExactUs us = 0;          // where it begins
    std::int64_t slope = 0;  // for each token more
    std::int64_t begin = 0;  // from so many tokens on, up to where the next one begins
    std::size_t kind = 0;    // a SampleKind

    ExactUs after(std::int64_t past) const {
      return us + static_cast<ExactUs>(slope) * (past - begin);
    }
  };
  const Line& at(std::int64_t past) const {
    const Line* line = lines_.data() + firsts_.at(past);
    while ((line + 1)->begin <= past) ++line;
    return *line;
  }
  template <bool kSlopes>
  DecodeSums sum_of(std::span<const std::int64_t> past) const {
    DecodeSums sums;
    // Nearly all are of one kind: their sum stays in registers.
    std::size_t kind = 0;
    ExactUs us = 0, slope = 0;
    for (const std::int64_t tokens : past) {
      const Line& line = at(tokens);
      if (line.kind != kind) {
        sums.us[kind] += us;
        sums.slope[kind] += slope;
        us = slope = 0;
        kind = line.kind;
      }
      us += line.after(tokens);
      if constexpr (kSlopes) {
        slope += line.slope;
        sums.steady = std::min(sums.steady, (&line + 1)->begin - tokens);
      }
    }
    sums.us[kind] += us;
    sums.slope[kind] += slope;
    return sums;
  }
  DecodeSums sum_at_reach(std::size_t sequences) const {
    const Line& last = lines_[lines_.size() - 2];
    DecodeSums sums;
    sums.us[last.kind] = last.us * static_cast<std::int64_t>(sequences);
    return sums;
  }
  void add_curved(std::int64_t past, DecodeSums& sums) const;
  DecodeSums sum_curved(std::span<const std::int64_t> past) const;

  std::vector<Line> lines_;  // and one that begins beyond all contexts
  FirstLines firsts_;
  bool is_curved_ = false;
  std::int64_t reach_ = 0;
  SampleGrid::Row row_;  // of a curved one
};

// Two modules' lines of one batch size, whose sums are made together: what takes time is to find the
// line of each sequence.
class PairedDecodeLines {
 public:
  // Neither is curved.
  PairedDecodeLines(const DecodeLines& a, const DecodeLines& b);

  // Of all sequences, with slopes, what the sums of each module are; both are steady as long as the
  // one that is so for fewer steps.
  std::array<DecodeSums, 2> sum(std::span<const std::int64_t> past) const;

 private:
  struct Line {
    // From no context on, were it as long as that. A slope fits into 64 bits.
    std::array<ExactUs, 2> us{}, slope{};
    std::int64_t begin = 0;
    std::uint32_t kinds = 0;  // SampleKind of both
  };
  static constexpr std::uint32_t kKinds = 3;

  std::vector<Line> lines_;  // and one that begins beyond all contexts
  FirstLines firsts_;
};

}  // namespace v4cap
