// Non-negative least squares with few unknowns.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace v4cap {

// Sums for: which coefficients c >= 0 make x . c come closest to `us` on all rows, each row's
// difference counted relative to its `us`?
class RelativeLeastSquares {
 public:
  // Of so many unknowns, 1 to 16.
  explicit RelativeLeastSquares(std::size_t unknowns);

  // x: one value per unknown, at least 0; us above 0.
  void add(const std::vector<double>& x, double us);

  // The optimum; all 0 without rows. All choices of the unknowns that are above 0 are tried, 2^n of
  // them: of those that give no negative coefficient the one with the least squares is the optimum.
  // Unknowns whose values are linear combinations of others' stay 0 or take their place. The same
  // rows in the same order give the same bits.
  std::vector<double> solution() const;

 private:
  // Solution with only the unknowns of `bits`; nullopt where they are not independent.
  std::optional<std::vector<double>> solved(unsigned bits) const;

  std::size_t n_;
  std::vector<std::vector<double>> a_;  // A^T A with rows divided by their us
  std::vector<double> b_;               // A^T 1
};

}  // namespace v4cap
