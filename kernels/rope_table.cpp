#include "kernels/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/parallel.h"

namespace v4cap::kernels {
namespace {

// The pair, as a fraction, that makes this many turns over the original context.
double pair_of_turns(const RopeParameters& p, double turns) {
  return kRopeDim *
         std::log(static_cast<double>(p.original_length) / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(p.theta));
}

}  // namespace

RopeParameters rope_parameters(bool yarn) {
  if (!yarn) return {};
  return {.theta = 160000, .original_length = 65536, .factor = 16};
}

std::array<float, kRopePairs> rope_frequencies(const RopeParameters& p) {
  std::array<float, kRopePairs> frequencies{};
  const double low = std::max(std::floor(pair_of_turns(p, p.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of_turns(p, p.beta_slow)), kRopeDim - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < kRopePairs; ++i) {
    const double exponent = static_cast<double>(2 * i) / kRopeDim;
    const float frequency = 1.0f / static_cast<float>(std::pow(p.theta, exponent));
    frequencies[i] = frequency;
    if (p.original_length == 0) continue;
    const float place =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(place, 0.0f, 1.0f);
    frequencies[i] = frequency / static_cast<float>(p.factor) * (1.0f - keep) + frequency * keep;
  }
  return frequencies;
}

std::vector<float> rope_table(const RopeParameters& parameters, std::int64_t positions) {
  const auto frequencies = rope_frequencies(parameters);
  std::vector<float> table(static_cast<std::size_t>(positions) * kRopeDim);
  constexpr std::int64_t kAtOnce = 256;
  for_each_index((positions + kAtOnce - 1) / kAtOnce, [&](std::int64_t part) {
    const std::int64_t end = std::min((part + 1) * kAtOnce, positions);
    for (std::int64_t position = part * kAtOnce; position < end; ++position) {
      float* row = table.data() + position * kRopeDim;
      for (std::size_t i = 0; i < kRopePairs; ++i) {
        const float angle = static_cast<float>(position) * frequencies[i];
        row[2 * i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        row[2 * i + 1] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    }
  });
  return table;
}

std::vector<float> rope_table(bool yarn, std::int64_t positions) {
  return rope_table(rope_parameters(yarn), positions);
}

}  // namespace v4cap::kernels
