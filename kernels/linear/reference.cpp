#include <algorithm>
#include <array>

#include "kernels/linear/linear.h"
#include "kernels/parallel.h"
#include "kernels/reference.h"

namespace v4cap::kernels::linear {
namespace {

// Several sums side by side, so that one addition need not wait for the one before.
double dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kSums = 8;
  std::array<double, kSums> sums{};
  for (std::int64_t i = 0; i < count; i += kSums) {
    for (std::int64_t j = 0; j < kSums; ++j) {
      sums[static_cast<std::size_t>(j)] += real(a[i + j]) * real(b[i + j]);
    }
  }
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

}  // namespace

std::vector<double> reference(const Fp8Args& args) {
  const std::int64_t in = args.in, out = args.out;
  const std::int64_t channels = args.groups * in, outputs = args.groups * out;
  std::array<float, 256> values{};
  for (std::size_t code = 0; code < values.size(); ++code) {
    values[code] = e4m3_to_float(static_cast<std::uint8_t>(code));
  }
  std::vector<float> x(static_cast<std::size_t>(args.rows * channels));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = values[args.x.codes[i]];
  std::vector<double> y(static_cast<std::size_t>(args.rows * outputs));
  for_each_index(outputs, [&](std::int64_t output) {
    const std::int64_t group = output / out;
    const float* scales = args.w.scales + output / kGemmScaleBlock * (in / kGemmScaleBlock);
    std::vector<float> w(static_cast<std::size_t>(in));
    for (std::int64_t k = 0; k < in; ++k) {
      w[static_cast<std::size_t>(k)] = values[args.w.codes[output * in + k]];
    }
    for (std::int64_t r = 0; r < args.rows; ++r) {
      double sum = 0;
      for (std::int64_t block = 0; block < in / kGemmScaleBlock; ++block) {
        const std::int64_t channel = group * in + block * kGemmScaleBlock;
        const float x_scale = args.x.scales[channel / kGemmScaleBlock * args.x.scale_stride + r];
        sum += real(x_scale) * real(scales[block]) *
               dot(x.data() + r * channels + channel, w.data() + block * kGemmScaleBlock,
                   kGemmScaleBlock);
      }
      y[static_cast<std::size_t>(r * outputs + output)] = sum;
    }
  });
  return y;
}

std::vector<double> reference(const Bf16Args& args) {
  const std::int64_t in = args.in, out = args.out;
  std::vector<float> x(static_cast<std::size_t>(args.rows * in));
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t k = 0; k < in; ++k) {
      x[static_cast<std::size_t>(r * in + k)] = to_float(args.x[r * args.x_stride + k]);
    }
  }
  std::vector<double> y(static_cast<std::size_t>(args.rows * out));
  for_each_index(out, [&](std::int64_t output) {
    std::vector<float> w(static_cast<std::size_t>(in));
    std::transform(args.w + output * in, args.w + (output + 1) * in, w.begin(),
                   [](Bf16 value) { return to_float(value); });
    for (std::int64_t r = 0; r < args.rows; ++r) {
      y[static_cast<std::size_t>(r * out + output)] = dot(x.data() + r * in, w.data(), in);
    }
  });
  return y;
}

}  // namespace v4cap::kernels::linear
