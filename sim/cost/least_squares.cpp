#include "sim/cost/least_squares.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "sim/core/error.h"

namespace v4cap {

namespace {

constexpr std::size_t kUnknownsMax = 16;
constexpr double kDependent = 1e-12;  // a pivot of the scaled matrix below it

}  // namespace

RelativeLeastSquares::RelativeLeastSquares(std::size_t unknowns)
    : n_(unknowns), a_(unknowns, std::vector<double>(unknowns)), b_(unknowns) {
  V4CAP_CHECK(n_ >= 1 && n_ <= kUnknownsMax, std::to_string(n_) + " unknowns");
}

void RelativeLeastSquares::add(const std::vector<double>& x, double us) {
  V4CAP_CHECK(x.size() == n_ && us > 0, std::to_string(x.size()) + " values");
  for (std::size_t i = 0; i < n_; ++i) {
    b_[i] += x[i] / us;
    for (std::size_t k = 0; k < n_; ++k) a_[i][k] += x[i] * x[k] / (us * us);
  }
}

// By Gauss-Jordan on the matrix scaled to a diagonal of ones.
std::optional<std::vector<double>> RelativeLeastSquares::solved(unsigned bits) const {
  std::vector<std::size_t> in;
  for (std::size_t i = 0; i < n_; ++i) {
    if ((bits >> i & 1U) == 0) continue;
    if (!(a_[i][i] > 0)) return std::nullopt;
    in.push_back(i);
  }
  const std::size_t n = in.size();
  std::vector<std::vector<double>> m(n, std::vector<double>(n + 1));
  const auto scale = [&](std::size_t i) { return std::sqrt(a_[in[i]][in[i]]); };
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) m[i][k] = a_[in[i]][in[k]] / scale(i) / scale(k);
    m[i][n] = b_[in[i]] / scale(i);
  }
  for (std::size_t p = 0; p < n; ++p) {  // positive definite: no pivoting needed
    if (m[p][p] < kDependent) return std::nullopt;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == p) continue;
      const double factor = m[i][p] / m[p][p];
      for (std::size_t k = p; k <= n; ++k) m[i][k] -= factor * m[p][k];
    }
  }
  std::vector<double> out(n_);
  for (std::size_t i = 0; i < n; ++i) out[in[i]] = m[i][n] / m[i][i] / scale(i);
  return out;
}

std::vector<double> RelativeLeastSquares::solution() const {
  std::vector<double> best(n_);
  double best_gain = 0;  // what the sum of squares falls by
  for (unsigned bits = 1; bits < 1U << n_; ++bits) {
    const auto c = solved(bits);
    if (!c) continue;
    double gain = 0;
    bool possible = true;
    for (std::size_t i = 0; i < n_; ++i) {
      possible = possible && (*c)[i] >= 0;
      gain += (*c)[i] * b_[i];
    }
    if (possible && gain > best_gain) {
      best_gain = gain;
      best = *c;
    }
  }
  return best;
}

}  // namespace v4cap
