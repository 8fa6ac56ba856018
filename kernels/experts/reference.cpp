#include <algorithm>
#include <cmath>

#include "kernels/experts/experts.h"
#include "kernels/parallel.h"
#include "kernels/reference.h"

namespace v4cap::kernels::experts {
namespace {

// out[row] = sum over k of x[row, k] w[k], for the rows of one expert and one row of its weights.
// `w` holds `in` numbers, x is [rows, in].
double dot(const double* x, const double* w, std::int64_t in) {
  double sum = 0;
  for (std::int64_t k = 0; k < in; ++k) sum += x[k] * w[k];
  return sum;
}

std::vector<double> weight_row(const Fp4Weights& w, std::int64_t row, std::int64_t in) {
  std::vector<double> values(static_cast<std::size_t>(in));
  for (std::int64_t k = 0; k < in; ++k) {
    const std::uint8_t two = w.codes[(row * in + k) / 2];
    const auto code = static_cast<std::uint8_t>(k % 2 == 0 ? two & 15 : two >> 4);
    const std::uint8_t scale = w.scales[(row * in + k) / kExpertScaleBlock];
    values[static_cast<std::size_t>(k)] = real(e2m1_to_float(code)) * real(ue8m0_to_float(scale));
  }
  return values;
}

}  // namespace

GateUpExpected reference(const GateUpArgs& args) {
  const std::int64_t rows = args.offsets[args.experts];
  const std::int64_t in = args.hidden, out = args.intermediate;
  const std::vector<double> x = dequantise(args.x, args.tokens, in);
  const double limit = real(args.limit);
  GateUpExpected e;
  e.activated.resize(static_cast<std::size_t>(rows * out));
  for_each_index(args.experts * out, [&](std::int64_t i) {
    const std::int64_t expert = i / out, channel = i % out;
    const std::int32_t first = args.offsets[expert], end = args.offsets[expert + 1];
    if (first == end) return;
    const auto gate = weight_row(args.w13, expert * 2 * out + channel, in);
    const auto up = weight_row(args.w13, (expert * 2 + 1) * out + channel, in);
    for (std::int32_t row = first; row < end; ++row) {
      const double* token = x.data() + args.row_token[row] * in;
      const double g = std::min(dot(token, gate.data(), in), limit);
      const double u = std::clamp(dot(token, up.data(), in), -limit, limit);
      e.activated[static_cast<std::size_t>(row * out + channel)] =
          g / (1 + std::exp(-g)) * u * real(args.row_weight[row]);
    }
  });
  e.dequantised = e.activated;
  round_to_bf16(e.dequantised.data(), rows * out);
  quantise_fp8(e.dequantised.data(), rows * out, kGemmScaleBlock);
  return e;
}

std::vector<double> reference(const DownArgs& args) {
  const std::int64_t rows = args.offsets[args.experts];
  const std::int64_t in = args.intermediate, out = args.hidden;
  const std::vector<double> a = dequantise(args.a, rows, in);
  std::vector<double> y(static_cast<std::size_t>(rows * out));
  for_each_index(args.experts * out, [&](std::int64_t i) {
    const std::int64_t expert = i / out, channel = i % out;
    const std::int32_t first = args.offsets[expert], end = args.offsets[expert + 1];
    if (first == end) return;
    const auto w = weight_row(args.w2, expert * out + channel, in);
    for (std::int32_t row = first; row < end; ++row) {
      y[static_cast<std::size_t>(row * out + channel)] = dot(a.data() + row * in, w.data(), in);
    }
  });
  return y;
}

}  // namespace v4cap::kernels::experts
