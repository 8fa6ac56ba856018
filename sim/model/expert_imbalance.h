// How unevenly tokens choose experts, where whole experts are spread over GPUs: a histogram of the
// hottest GPU's load. A step waits for that GPU.
#pragma once

#include <cstddef>
#include <vector>

namespace v4cap {

struct ImbalanceBin {
  double factor = 1;  // (token, expert) pairs of the hottest GPU over the mean of all GPUs; >= 1
  double share = 1;   // of the steps; all shares sum to 1
  bool operator==(const ImbalanceBin&) const = default;
};

inline constexpr std::size_t kMaxImbalanceBins = 8;

using ExpertImbalance = std::vector<ImbalanceBin>;

}  // namespace v4cap
