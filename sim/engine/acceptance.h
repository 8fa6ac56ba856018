// How many tokens a decode step yields when drafts are verified: the next token always, and each
// draft while all before it were accepted. Drawn per request and decode step from a counter, so
// that what a request gets does not depend on which others run beside it, or when.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/units.h"

namespace v4cap {

// Chances of 1..drafts+1 tokens a step when every draft is accepted with the same probability while
// all before it were, such that the mean is `mean` tokens. 1 <= mean <= drafts+1.
std::vector<double> acceptance_of_mean(std::int64_t drafts, double mean);

class Acceptance {
 public:
  // No drafts: every decode step yields one token.
  Acceptance() = default;
  // `chances[i]`: that a step yields i+1 tokens. They sum to 1. Draws come from stream "acceptance"
  // of the seed.
  Acceptance(const std::vector<double>& chances, std::uint64_t seed);

  std::int64_t drafts() const { return static_cast<std::int64_t>(up_to_.size()); }
  // Tokens that a request's decode step yields; `step` counts the request's decode steps from 0.
  Tokens tokens(std::uint32_t request, std::int64_t step) const;

 private:
  std::vector<double> up_to_;  // chance of at most i+1 tokens, without the last, which is 1
  std::uint64_t key_ = 0;
};

}  // namespace v4cap
