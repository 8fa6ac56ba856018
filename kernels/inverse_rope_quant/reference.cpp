#include <algorithm>

#include "kernels/entry_reference.h"
#include "kernels/inverse_rope_quant/inverse_rope_quant.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::inverse_rope_quant {

Expected reference(const Args& args) {
  const std::int64_t tokens = args.batch.tokens;
  const std::int64_t width = static_cast<std::int64_t>(args.heads) * kHeadDim;
  const auto size = static_cast<std::size_t>(tokens * width);
  Expected expected{std::vector<double>(size), std::vector<double>(size)};
  for_each_index(tokens, [&](std::int64_t t) {
    const Bf16* in = args.o + t * args.o_stride;
    double* rotated = expected.rotated.data() + t * width;
    for (std::int64_t c = 0; c < width; ++c) rotated[c] = real(in[c]);
    for (int head = 0; head < args.heads; ++head) {
      rotate(rotated + head * kHeadDim + kNopeDim, angles_at(args.rope, args.batch.positions[t]),
             kRopeDim, -1);
    }
    double* dequantised = expected.dequantised.data() + t * width;
    std::copy(rotated, rotated + width, dequantised);
    round_to_bf16(dequantised, width);
    quantise_fp8(dequantised, width, kGemmScaleBlock);
  });
  return expected;
}

}  // namespace v4cap::kernels::inverse_rope_quant
