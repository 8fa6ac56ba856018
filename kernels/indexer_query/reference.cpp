#include <algorithm>
#include <cmath>

#include "kernels/entry_reference.h"
#include "kernels/indexer_query/indexer_query.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::indexer_query {
namespace {

// Of a row quantised as one block of 128.
double fp8_scale(const double* row) {
  float largest = 0;
  for (int c = 0; c < kIndexDim; ++c) {
    largest = std::max(largest, std::fabs(static_cast<float>(row[c])));
  }
  return real(ue8m0_to_float(fp8_block_scale(largest)));
}

}  // namespace

Expected reference(const Args& args) {
  const std::int64_t heads = static_cast<std::int64_t>(args.batch.tokens) * kIndexHeads;
  const auto size = static_cast<std::size_t>(heads * kIndexDim);
  Expected expected{std::vector<double>(size), std::vector<double>(size),
                    std::vector<double>(static_cast<std::size_t>(heads))};
  for_each_index(args.batch.tokens, [&](std::int64_t t) {
    for (std::int64_t row = t * kIndexHeads; row < (t + 1) * kIndexHeads; ++row) {
      double* rotated = expected.rotated.data() + row * kIndexDim;
      for (int c = 0; c < kIndexDim; ++c) rotated[c] = real(args.q[row * kIndexDim + c]);
      rope_to_bf16(rotated, kIndexDim, angles_at(args.rope, args.batch.positions[t]));
      hadamard_128(rotated);
      round_to_bf16(rotated, kIndexDim);
      double* dequantised = expected.dequantised.data() + row * kIndexDim;
      std::copy(rotated, rotated + kIndexDim, dequantised);
      const double w = real(args.w[t * args.w_stride + row % kIndexHeads]);
      double& weight = expected.weights[static_cast<std::size_t>(row)];
      weight = w / std::sqrt(128.0) / std::sqrt(64.0);
      if (args.format == KeyFormat::fp8) {
        weight *= fp8_scale(rotated);
        quantise_fp8(dequantised, kIndexDim, kIndexDim);
      } else {
        quantise_fp4(dequantised, kIndexDim, kExpertScaleBlock);
      }
    }
  });
  return expected;
}

}  // namespace v4cap::kernels::indexer_query
