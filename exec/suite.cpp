#include "exec/suite.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/error.h"

namespace v4cap::exec {

std::vector<Suite>& registered_suites() {
  static std::vector<Suite> all;
  return all;
}

std::vector<Suite> suites() {
  auto all = registered_suites();
  std::sort(all.begin(), all.end(), [](const Suite& a, const Suite& b) { return a.name < b.name; });
  return all;
}

std::vector<Finding> compare(const std::string& what, const std::vector<double>& expected,
                             const std::vector<double>& got, std::int64_t width, double tolerance,
                             double row_factor) {
  V4CAP_CHECK(expected.size() == got.size() && width > 0,
              what + ": " + std::to_string(expected.size()) + " expected, " +
                  std::to_string(got.size()) + " found");
  const auto columns = static_cast<std::size_t>(width);
  double difference = 0, size = 0, worst = 0;
  for (std::size_t row = 0; row < expected.size(); row += columns) {
    double row_difference = 0, row_size = 0;
    for (std::size_t i = row; i < std::min(row + columns, expected.size()); ++i) {
      if (got[i] == expected[i] && std::isinf(expected[i])) continue;  // the maximum of nothing
      row_difference += (got[i] - expected[i]) * (got[i] - expected[i]);
      row_size += expected[i] * expected[i];
    }
    difference += row_difference;
    size += row_size;
    const double error = row_difference == 0 ? 0 : std::sqrt(row_difference / row_size);
    worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
  }
  double error = difference == 0 ? 0 : std::sqrt(difference / size);
  if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
  return {{what, error, tolerance}, {what + ", worst row", worst, row_factor * tolerance}};
}

void keep_worst(std::vector<Finding>& worst, const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    const auto found = std::find_if(worst.begin(), worst.end(),
                                    [&](const Finding& w) { return w.what == f.what; });
    if (found == worst.end()) {
      worst.push_back(f);
    } else if (!(f.error <= found->error)) {
      *found = f;
    }
  }
}

Finding compare_exactly(const std::string& what, const std::vector<std::int32_t>& expected,
                        const std::vector<std::int32_t>& got) {
  V4CAP_CHECK(expected.size() == got.size(), what);
  std::int64_t different = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) different += expected[i] != got[i] ? 1 : 0;
  const double share =
      expected.empty() ? 0 : static_cast<double>(different) / static_cast<double>(expected.size());
  return {what, share, 0};
}

}  // namespace v4cap::exec
