// The reference of mHC's read side against hand-worked values and a plain Sinkhorn, and the cutting
// of work of the portable version.
#include "kernels/mhc_pre/mhc_pre.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/mhc_pre/launch.h"

namespace v4cap::kernels::mhc_pre {
namespace {

// One token of 256 channels whose logits are `base`: fn is zero.
struct FromBase {
  std::vector<Bf16> x = std::vector<Bf16>(4 * 256, to_bf16(1.0f));
  std::vector<float> fn, scale = {1, 1, 1}, base;
  std::vector<float> post = std::vector<float>(4), comb = std::vector<float>(16);

  explicit FromBase(std::vector<float> logits)
      : fn(logits.size() * x.size()), base(std::move(logits)) {
    for (std::size_t j = 0; j < 4; ++j) {
      for (std::size_t c = 0; c < 256; ++c) x[j * 256 + c] = to_bf16(static_cast<float>(1 << j));
    }
  }
  Args args() {
    return {.tokens = 1,
            .hidden = 256,
            .mixes = static_cast<int>(base.size()),
            .x = x.data(),
            .fn = fn.data(),
            .scale = scale.data(),
            .base = base.data(),
            .post = base.size() == 4 ? nullptr : post.data(),
            .comb = base.size() == 4 ? nullptr : comb.data()};
  }
};

std::vector<float> logits_of_24() {
  std::vector<float> base(24);
  for (std::size_t m = 0; m < 24; ++m) {
    base[m] = std::sin(static_cast<float>(3 * m + 1)) * 2;
  }
  return base;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

TEST_CASE("mhc_pre: the weighted sum takes pre and post is twice a sigmoid") {
  FromBase given(logits_of_24());
  const Expected e = reference(given.args());
  double y = 0;
  for (int j = 0; j < 4; ++j) {
    const auto at = static_cast<std::size_t>(j);
    y += (sigmoid(static_cast<double>(given.base[at])) + 1e-6) * (1 << j);
    CHECK(e.post[at] ==
          doctest::Approx(2 * sigmoid(static_cast<double>(given.base[4 + at]))).epsilon(1e-12));
  }
  for (const double v : e.y) CHECK(v == doctest::Approx(y).epsilon(1e-9));
}

TEST_CASE("mhc_pre: columns of C add up to one, rows nearly") {
  FromBase given(logits_of_24());
  const Expected e = reference(given.args());
  for (std::size_t i = 0; i < 4; ++i) {
    double row = 0, column = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      row += e.comb[i * 4 + j];
      column += e.comb[j * 4 + i];
    }
    CHECK(std::fabs(column - 1) < 2e-6);  // divided last, by the sum and eps
    CHECK(std::fabs(row - 1) < 1e-3);
  }
}

struct Variant {
  bool softmax = true;  // else a sigmoid
  bool columns_last = true;
  int iterations = 20;
};

std::vector<double> plain_sinkhorn(const std::vector<float>& base, const Variant& variant) {
  const double eps = static_cast<double>(1e-6f);
  std::vector<double> c(16);
  for (std::size_t k = 0; k < 16; ++k) {
    const double logit = static_cast<double>(base[8 + k]);
    c[k] = variant.softmax ? std::exp(logit) : sigmoid(logit) + eps;
  }
  const auto divide = [&](bool rows, double before, double after) {
    const std::size_t step = rows ? 4 : 1, along = rows ? 1 : 4;
    for (std::size_t line = 0; line < 4; ++line) {
      double sum = before;
      for (std::size_t k = 0; k < 4; ++k) sum += c[line * step + k * along];
      for (std::size_t k = 0; k < 4; ++k) {
        double& v = c[line * step + k * along];
        v = v / sum + after;
      }
    }
  };
  const bool first = variant.columns_last;  // rows or columns
  if (variant.softmax) divide(first, 0, eps);
  divide(!first, eps, 0);
  for (int i = 1; i < variant.iterations; ++i) {
    divide(first, eps, 0);
    divide(!first, eps, 0);
  }
  return c;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::fabs(a[k] - b[k]));
  return largest;
}

TEST_CASE("mhc_pre: C starts from a softmax, then columns, in 20 iterations") {
  std::vector<float> base(24);
  // Two rows that want the same column: not converged after 20 iterations.
  const float logits[16] = {9, -9, -9, -4, 9, -9, -8, -9, -9, 3, -9, -9, 0, -9, 2, -9};
  for (std::size_t k = 0; k < 16; ++k) base[8 + k] = logits[k];
  FromBase given(base);
  const std::vector<double> comb = reference(given.args()).comb;
  const auto difference = [&](const Variant& variant) {
    return largest_difference(comb, plain_sinkhorn(base, variant));
  };
  CHECK(difference({}) < 1e-12);
  CHECK(difference({.columns_last = false}) > 1e-4);
  CHECK(difference({.iterations = 19}) > 1e-6);
  CHECK(difference({.iterations = 21}) > 1e-6);
  // A published port takes a sigmoid here; the reference does not.
  CHECK(difference({.softmax = false}) > 1e-2);
}

TEST_CASE("mhc_pre: logits are sums over the streams divided by their rms, scaled by kind") {
  FromBase given(std::vector<float>(24));
  given.scale = {0.5f, 0.25f, 2.0f};
  // Mix m sees channel 7 of stream 3, which is 8.
  for (std::size_t m = 0; m < 24; ++m) given.fn[m * 1024 + 3 * 256 + 7] = m % 4 == 1 ? 1.0f : 0.0f;
  const Expected e = reference(given.args());
  const double m = 8 / std::sqrt((1 + 4 + 16 + 64) / 4.0 + 1e-6);
  CHECK(e.post[1] == doctest::Approx(2 * sigmoid(0.25 * m)).epsilon(1e-7));
  CHECK(e.post[0] == doctest::Approx(1));
  CHECK(e.y[0] == doctest::Approx(0.5 * (1 + 4 + 8) + 2 * sigmoid(0.5 * m) + 15e-6).epsilon(1e-7));
  // All rows of the logits are alike: what a column gets, it gets from each row.
  for (std::size_t k = 0; k < 16; ++k) CHECK(e.comb[k] == doctest::Approx(0.25).epsilon(1e-5));
}

TEST_CASE("mhc_pre: before the head there are 4 mixes and nothing but y") {
  FromBase given({0.0f, 1.0f, -1.0f, 2.0f});
  const Expected e = reference(given.args());
  const double y = 0.5 + 2 * sigmoid(1) + 4 * sigmoid(-1) + 8 * sigmoid(2) + 15e-6;
  CHECK(e.y[255] == doctest::Approx(y).epsilon(1e-9));
  CHECK(e.post.empty());
  CHECK(e.comb.empty());
}

TEST_CASE("mhc_pre: versions refuse widths and mixes they are not built for") {
  float out[1] = {};
  CHECK(refuses_shape({.tokens = 1, .hidden = 256, .post = out, .comb = out}).empty());
  CHECK_FALSE(refuses_shape({.tokens = 1, .hidden = 256, .post = out}).empty());
  CHECK_FALSE(refuses_shape({.tokens = 1, .hidden = 256, .mixes = 4, .post = out}).empty());
  CHECK(refuses_shape({.tokens = 1, .hidden = 4096, .mixes = 4}).empty());
  CHECK_FALSE(refuses_shape({.tokens = 1, .hidden = 4096 + 128}).empty());
  CHECK_FALSE(refuses_shape({.tokens = 1, .hidden = 4096, .mixes = 8}).empty());
  CHECK(refuses_cluster({.tokens = 1024, .hidden = 7168, .post = out, .comb = out}).empty());
  CHECK(refuses_cluster({.tokens = 1024, .hidden = 4096, .mixes = 4}).empty());
  CHECK_FALSE(refuses_cluster({.tokens = 1, .hidden = 7168}).empty());
  CHECK_FALSE(refuses_cluster({.tokens = 1024, .hidden = 2048}).empty());
  CHECK_FALSE(refuses_cluster({.tokens = 1024, .hidden = 7168, .mixes = 5}).empty());
}

TEST_CASE("mhc_pre: the portable cut covers all tokens and channels once") {
  for (const int hidden : {256, 768, 4096, 7168}) {
    for (const int tokens : {1, 16, 17, 1024, 1025, 16384}) {
      const PortablePlan plan = portable_plan(tokens, hidden);
      const int steps = hidden / kPortableStep;
      CHECK(plan.tiles * plan.tile >= tokens);
      CHECK((plan.tiles - 1) * plan.tile < tokens);
      CHECK(plan.splits * plan.steps >= steps);
      CHECK((plan.splits - 1) * plan.steps < steps);  // the last split has something to do
      CHECK(portable_workspace_bytes(tokens, hidden) ==
            static_cast<std::size_t>(plan.splits) * 25 * 4 * static_cast<std::size_t>(tokens));
    }
  }
  // Small blocks where tokens abound.
  CHECK(portable_plan(1, 7168).sum_warps == 28);
  CHECK(portable_plan(1, 512).sum_warps == 2);
  CHECK(portable_plan(16384, 7168).sum_warps == 7);
  CHECK(portable_spreads(64, 7168));
  CHECK_FALSE(portable_spreads(16384, 7168));
  // Few tokens are cut finely, many not at all.
  CHECK(portable_plan(1, 7168).splits == 112);
  CHECK(portable_plan(16384, 7168).splits == 1);
}

}  // namespace
}  // namespace v4cap::kernels::mhc_pre
