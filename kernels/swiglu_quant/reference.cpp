#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"
#include "kernels/reference.h"
#include "kernels/swiglu_quant/swiglu_quant.h"

namespace v4cap::kernels::swiglu_quant {

Expected reference(const Args& args) {
  const auto width = static_cast<std::size_t>(args.intermediate);
  const std::size_t size = static_cast<std::size_t>(args.rows) * width;
  const double limit = real(args.limit);
  Expected expected{std::vector<double>(size), std::vector<double>(size)};
  for_each_index(args.rows, [&](std::int64_t row) {
    const Bf16* gate = args.gate_up + row * 2 * args.intermediate;
    const Bf16* up = gate + args.intermediate;
    double* activated = expected.activated.data() + row * args.intermediate;
    for (int c = 0; c < args.intermediate; ++c) {
      const double g = std::min(real(gate[c]), limit);
      const double u = std::clamp(real(up[c]), -limit, limit);
      activated[c] = g / (1 + std::exp(-g)) * u;
    }
    double* dequantised = expected.dequantised.data() + row * args.intermediate;
    std::copy(activated, activated + width, dequantised);
    round_to_bf16(dequantised, args.intermediate);
    quantise_fp8(dequantised, args.intermediate, kGemmScaleBlock);
  });
  return expected;
}

}  // namespace v4cap::kernels::swiglu_quant
