#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/compressor_csa/compressor_csa.h"
#include "kernels/entry_reference.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::compressor_csa {
namespace {

// One sequence, token by token, on the state as decode keeps it.
void compress(const Args& args, std::int64_t first, std::int64_t end, double* state,
              std::int64_t emitted, Expected& expected) {
  const int width = args.head_dim;
  for (std::int64_t row = first; row < end; ++row) {
    const std::int64_t t = args.batch.positions[row];
    double* slot = state + t % kRing * 4 * width;
    for (int c = 0; c < 4 * width; ++c) {
      const float* ape = args.ape + t % kRatio * 2 * width;
      // In float, as the state is.
      const float bias = c < 2 * width ? 0 : ape[c - 2 * width];
      slot[c] = real(args.ug[row * args.ug_stride + c] + bias);
    }
    if ((t + 1) % kRatio != 0) continue;
    double* pooled = expected.pooled.data() + emitted * width;
    for (int c = 0; c < width; ++c) {
      const auto u_at = [&](std::int64_t row_t) {
        return state + row_t % kRing * 4 * width + (row_t > t - kRatio ? width : 0) + c;
      };
      const std::int64_t oldest = std::max<std::int64_t>(t - kRing + 1, 0);
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t r = oldest; r <= t; ++r) largest = std::max(largest, u_at(r)[2 * width]);
      double sum = 0, weighted = 0;
      for (std::int64_t r = oldest; r <= t; ++r) {
        const double weight = std::exp(u_at(r)[2 * width] - largest);
        sum += weight;
        weighted += weight * u_at(r)[0];
      }
      pooled[c] = weighted / sum;
    }
    round_to_bf16(pooled, width);
    norm_to_bf16(pooled, width, args.norm_weight, args.eps);
    rope_to_bf16(pooled, width, angles_at(args.rope, t - kRatio + 1));
    if (width == kIndexDim) {
      hadamard_128(pooled);
      round_to_bf16(pooled, width);
    }
    double* stored = expected.stored.data() + emitted * width;
    std::copy(pooled, pooled + width, stored);
    if (width == kHeadDim) {
      quantise_fp8(stored, kNopeDim, kNopeBlock);
    } else if (args.keys.format == KeyFormat::fp8) {
      quantise_fp8(stored, width, kIndexDim);
    } else {
      quantise_fp4(stored, width, kExpertScaleBlock);
    }
    ++emitted;
  }
}

}  // namespace

Expected reference(const Args& args) {
  const auto slot_floats = static_cast<std::size_t>(kRing) * 4 * args.head_dim;
  std::size_t slots = 0;
  std::vector<std::int64_t> emitted{0};  // before each sequence
  for (int s = 0; s < args.batch.sequences; ++s) {
    slots = std::max(slots, static_cast<std::size_t>(args.state_slot[s]) + 1);
    std::int64_t count = 0;
    for (int row = args.batch.first_token[s]; row < args.batch.first_token[s + 1]; ++row) {
      count += (args.batch.positions[row] + 1) % kRatio == 0 ? 1 : 0;
    }
    emitted.push_back(emitted.back() + count);
  }
  Expected expected;
  expected.state.assign(args.state, args.state + slots * slot_floats);
  expected.pooled.resize(static_cast<std::size_t>(emitted.back() * args.head_dim));
  expected.stored.resize(expected.pooled.size());
  for_each_index(args.batch.sequences, [&](std::int64_t s) {
    compress(args, args.batch.first_token[s], args.batch.first_token[s + 1],
             expected.state.data() + static_cast<std::size_t>(args.state_slot[s]) * slot_floats,
             emitted[static_cast<std::size_t>(s)], expected);
  });
  return expected;
}

}  // namespace v4cap::kernels::compressor_csa
