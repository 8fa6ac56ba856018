// Exact quantiles with linear interpolation between order statistics (numpy's default, method
// "linear"), so that our p99 is the p99 that AIPerf, vLLM and a Python script compute from the same
// records.
#pragma once

#include <cstdint>
#include <vector>

namespace v4cap {

// Mean, extremes, standard deviation (population) and quantiles of a sample. All 0 for an empty
// sample; look at count first.
struct Distribution {
  std::int64_t count = 0;
  double sum = 0, mean = 0, min = 0, max = 0, stddev = 0;
  double p1 = 0, p5 = 0, p10 = 0, p25 = 0, p50 = 0, p75 = 0, p90 = 0, p95 = 0, p99 = 0;
};

// `sorted` ascending and not empty, 0 <= q <= 1.
double quantile_of_sorted(const std::vector<double>& sorted, double q);

// Sorts a copy; sums run over the sorted values, so the result does not depend on the order given.
Distribution describe(std::vector<double> sample);

}  // namespace v4cap
