// How much load does one deployment hold? A bisection over runs whose outcome is noisy: a p99 over
// some thousand requests jumps from one load to the next, so that "keeps the SLO" may hold at 10,
// fail at 11 and hold at 12 again.
//
// The answer is the lower edge of that band, never its upper one: the largest load that was kept
// with no failure at any load below it that was run. A bisection alone does not give that, as a
// load that is kept by luck ends the search above a failure that nobody looked at. Therefore:
//
//   1. From a hint, loads go up by halves until one fails and down by halves until one is kept;
//   2. the gap is halved until its ends are within the tolerance;
//   3. two loads within the last fifth below the answer are run as well. Where one of them fails it
//      becomes the upper end, and the search goes on below it;
//   4. one load a little above the failing end is run: kept, it marks the answer as noisy.
//
// Runs of the same load and seed are equal (common random numbers), so nothing is run twice.
#pragma once

#include <functional>
#include <optional>
#include <vector>

namespace v4cap {

struct LoadRange {
  double from = 1, to = 1;  // 0 < from <= to
  double tolerance =
      0.05;            // of the answer; below one step of whole loads, neighbours are told apart
  bool whole = false;  // loads are whole numbers
};

struct LoadProbe {
  double load = 0;
  bool kept = false;
};

struct HeldLoad {
  double held = 0;                // 0: not even `from` is kept
  std::optional<double> failing;  // the smallest load that failed; empty: `to` is kept
  bool noisy = false;             // a load above a failing one was kept
  std::vector<LoadProbe> probes;  // in the order they were run
};

using KeepsSlo = std::function<bool(double load)>;

HeldLoad search_load(const LoadRange& range, double hint, const KeepsSlo& keeps);

// What several seeds say of one figure.
struct SeedInterval {
  double mean = 0, low = 0, high = 0;       // lowest and highest of the seeds
  std::optional<double> t95_low, t95_high;  // Student's 95 % interval of the mean; two or more
};

SeedInterval interval_of(const std::vector<double>& values);

}  // namespace v4cap
