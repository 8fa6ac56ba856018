#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"
#include "kernels/reference.h"
#include "kernels/rmsnorm_quant/rmsnorm_quant.h"

namespace v4cap::kernels::rmsnorm_quant {

Expected reference(const Args& args) {
  const auto width = static_cast<std::size_t>(args.width);
  const std::size_t size = static_cast<std::size_t>(args.rows) * width;
  Expected expected{std::vector<double>(size), std::vector<double>(size)};
  for_each_index(args.rows, [&](std::int64_t row) {
    const Bf16* x = args.x + row * args.x_stride;
    double* normed = expected.normed.data() + row * args.width;
    double square = 0;
    for (int c = 0; c < args.width; ++c) square += real(x[c]) * real(x[c]);
    const double inverse =
        args.weight == nullptr ? 1 : 1 / std::sqrt(square / args.width + real(args.eps));
    for (int c = 0; c < args.width; ++c) {
      normed[c] = real(x[c]) * inverse * (args.weight == nullptr ? 1 : real(args.weight[c]));
    }
    double* dequantised = expected.dequantised.data() + row * args.width;
    std::copy(normed, normed + width, dequantised);
    round_to_bf16(dequantised, args.width);
    quantise_fp8(dequantised, args.width, kGemmScaleBlock);
  });
  return expected;
}

}  // namespace v4cap::kernels::rmsnorm_quant
