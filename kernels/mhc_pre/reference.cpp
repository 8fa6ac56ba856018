#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/mhc_pre/mhc_pre.h"
#include "kernels/parallel.h"
#include "kernels/reference.h"

namespace v4cap::kernels::mhc_pre {
namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

using Mixing = std::array<std::array<double, kStreams>, kStreams>;

void normalise_rows(Mixing& c, double eps) {
  for (auto& row : c) {
    double sum = eps;
    for (const double v : row) sum += v;
    for (double& v : row) v /= sum;
  }
}

void normalise_columns(Mixing& c, double eps) {
  for (std::size_t j = 0; j < kStreams; ++j) {
    double sum = eps;
    for (const auto& row : c) sum += row[j];
    for (auto& row : c) row[j] /= sum;
  }
}

// The logits in, the mixing matrix out. The first step is a softmax, whose rows get eps only after
// they were divided.
void sinkhorn(Mixing& c, double eps) {
  for (auto& row : c) {
    const double largest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (double& v : row) {
      v = std::exp(v - largest);
      sum += v;
    }
    for (double& v : row) v = v / sum + eps;
  }
  normalise_columns(c, eps);
  for (int iteration = 1; iteration < kSinkhornIterations; ++iteration) {
    normalise_rows(c, eps);
    normalise_columns(c, eps);
  }
}

}  // namespace

Expected reference(const Args& args) {
  const std::int64_t hidden = args.hidden, wide = kStreams * hidden;
  const auto tokens = static_cast<std::size_t>(args.tokens);
  Expected expected;
  expected.y.resize(tokens * static_cast<std::size_t>(hidden));
  if (args.post != nullptr) expected.post.resize(tokens * kStreams);
  if (args.comb != nullptr) expected.comb.resize(tokens * kStreams * kStreams);
  for_each_index(args.tokens, [&](std::int64_t t) {
    const Bf16* x = args.x + t * wide;
    std::vector<double> wide_x(static_cast<std::size_t>(wide));
    double square = 0;
    for (std::int64_t k = 0; k < wide; ++k) {
      const double v = real(x[k]);
      wide_x[static_cast<std::size_t>(k)] = v;
      square += v * v;
    }
    const double inverse = 1 / std::sqrt(square / static_cast<double>(wide) + real(args.norm_eps));
    std::array<double, kMixes> logits{};
    for (int m = 0; m < args.mixes; ++m) {
      const float* row = args.fn + m * wide;
      double sum = 0;
      for (std::int64_t k = 0; k < wide; ++k) {
        sum += wide_x[static_cast<std::size_t>(k)] * real(row[k]);
      }
      const int kind = std::min(m / kStreams, 2);
      logits[static_cast<std::size_t>(m)] =
          sum * inverse * real(args.scale[kind]) + real(args.base[m]);
    }
    std::array<double, kStreams> pre{};
    for (std::size_t j = 0; j < kStreams; ++j) pre[j] = sigmoid(logits[j]) + real(args.eps);
    for (std::int64_t c = 0; c < hidden; ++c) {
      double sum = 0;
      for (std::size_t j = 0; j < kStreams; ++j) {
        sum += pre[j] * wide_x[j * static_cast<std::size_t>(hidden) + static_cast<std::size_t>(c)];
      }
      expected.y[static_cast<std::size_t>(t * hidden + c)] = sum;
    }
    if (args.post != nullptr) {
      for (std::size_t j = 0; j < kStreams; ++j) {
        expected.post[static_cast<std::size_t>(t) * kStreams + j] =
            2 * sigmoid(logits[kStreams + j]);
      }
    }
    if (args.comb != nullptr) {
      Mixing c{};
      for (std::size_t i = 0; i < kStreams; ++i) {
        for (std::size_t j = 0; j < kStreams; ++j) {
          c[i][j] = logits[2 * kStreams + i * kStreams + j];
        }
      }
      sinkhorn(c, real(args.eps));
      double* out = expected.comb.data() + t * kStreams * kStreams;
      for (const auto& row : c) out = std::copy(row.begin(), row.end(), out);
    }
  });
  return expected;
}

}  // namespace v4cap::kernels::mhc_pre
