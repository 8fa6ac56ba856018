#include "sim/engine/acceptance.h"

#include <cmath>
#include <string>

#include "sim/core/error.h"
#include "sim/core/hash.h"
#include "sim/core/random.h"

namespace v4cap {

namespace {

// 1 + p + ... + p^drafts
double mean_tokens(std::int64_t drafts, double p) {
  double mean = 1;
  for (std::int64_t i = 0; i < drafts; ++i) mean = 1 + p * mean;
  return mean;
}

}  // namespace

std::vector<double> acceptance_of_mean(std::int64_t drafts, double mean) {
  V4CAP_CHECK(
      drafts >= 0 && mean >= 1 && mean <= static_cast<double>(drafts + 1),
      "a mean of " + std::to_string(mean) + " tokens from " + std::to_string(drafts) + " drafts");
  double low = 0, high = 1;
  if (mean == static_cast<double>(drafts + 1)) low = 1;
  // Halved until nothing is left between the bounds: the same on every machine.
  for (int i = 0; i < 60; ++i) {
    const double p = (low + high) / 2;
    (mean_tokens(drafts, p) < mean ? low : high) = p;
  }
  const double p = mean == 1 ? 0 : (low + high) / 2;
  std::vector<double> chances;
  double reached = 1;  // chance that all drafts so far were accepted
  for (std::int64_t i = 0; i < drafts; ++i) {
    chances.push_back(reached * (1 - p));
    reached *= p;
  }
  chances.push_back(reached);
  return chances;
}

Acceptance::Acceptance(const std::vector<double>& chances, std::uint64_t seed)
    : key_(RandomStreams(seed).stream("acceptance")()) {
  V4CAP_CHECK(!chances.empty(), "no chances of accepted tokens");
  double sum = 0;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    V4CAP_CHECK(chances[i] >= 0, "a chance of " + std::to_string(chances[i]));
    sum += chances[i];
    if (i + 1 < chances.size()) up_to_.push_back(sum);
  }
  V4CAP_CHECK(std::abs(sum - 1) < 1e-6, "chances that sum to " + std::to_string(sum));
}

Tokens Acceptance::tokens(std::uint32_t request, std::int64_t step) const {
  if (up_to_.empty()) return Tokens{1};
  const std::uint64_t bits =
      mix64(mix64(key_ ^ std::uint64_t{request}) ^ static_cast<std::uint64_t>(step));
  const double draw = static_cast<double>(bits >> 11) * 0x1p-53;  // in [0, 1)
  std::int64_t tokens = 1;
  for (const double bound : up_to_) {
    if (draw < bound) break;
    ++tokens;
  }
  return Tokens{tokens};
}

}  // namespace v4cap
