#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/compressor_hca/compressor_hca.h"
#include "kernels/entry_reference.h"
#include "kernels/parallel.h"

namespace v4cap::kernels::compressor_hca {
namespace {

constexpr double kEmpty = -std::numeric_limits<double>::infinity();

// Sum over the block's rows of u * softmax of g, from rows [128, 2, 512].
void pool_rows(const double* rows, double* pooled) {
  for (int c = 0; c < kHeadDim; ++c) {
    double largest = kEmpty, sum = 0, weighted = 0;
    for (int r = 0; r < kRatio; ++r) {
      largest = std::max(largest, rows[(2 * r + 1) * kHeadDim + c]);
    }
    for (int r = 0; r < kRatio; ++r) {
      const double weight = std::exp(rows[(2 * r + 1) * kHeadDim + c] - largest);
      sum += weight;
      weighted += weight * rows[2 * r * kHeadDim + c];
    }
    pooled[c] = weighted / sum;
  }
}

// One row joins the running maximum, sum and weighted sum.
void fold(const double* row, double* running) {
  for (int c = 0; c < kHeadDim; ++c) {
    double &largest = running[c], &sum = running[kHeadDim + c],
           &weighted = running[2 * kHeadDim + c];
    const double u = row[c], g = row[kHeadDim + c];
    const double before = largest;
    largest = std::max(before, g);
    const double shrink = before == kEmpty ? 0 : std::exp(before - largest);
    const double weight = std::exp(g - largest);
    sum = (before == kEmpty ? 0 : sum * shrink) + weight;
    weighted = (before == kEmpty ? 0 : weighted * shrink) + weight * u;
  }
}

void clear(double* running) {
  std::fill(running, running + kHeadDim, kEmpty);
  std::fill(running + kHeadDim, running + 3 * kHeadDim, 0.0);
}

// One sequence, token by token, on the state as decode keeps it. A row that finishes its block is
// not kept: the state is that of an unfinished block.
void compress(const Args& args, std::int64_t first, std::int64_t end, double* state,
              std::int64_t emitted, Expected& expected) {
  std::vector<double> row(2 * kHeadDim), rows;
  if (args.form == StateForm::rows) rows.assign(state, state + kRatio * 2 * kHeadDim);
  for (std::int64_t token = first; token < end; ++token) {
    const std::int64_t t = args.batch.positions[token];
    const std::int64_t place = t % kRatio;
    for (int c = 0; c < 2 * kHeadDim; ++c) {
      const float bias = c < kHeadDim ? 0 : args.ape[place * kHeadDim + c - kHeadDim];
      // In float, as the state is.
      row[static_cast<std::size_t>(c)] = real(args.ug[token * args.ug_stride + c] + bias);
    }
    const bool emits = place == kRatio - 1;
    double* pooled = expected.pooled.data() + emitted * kHeadDim;
    if (args.form == StateForm::rows) {
      std::copy(row.begin(), row.end(), rows.begin() + place * 2 * kHeadDim);
      if (emits) pool_rows(rows.data(), pooled);
      if (!emits && end - token <= (args.batch.positions[end - 1] + 1) % kRatio) {
        std::copy(row.begin(), row.end(), state + place * 2 * kHeadDim);
      }
    } else {
      if (place == 0) clear(state);
      fold(row.data(), state);
      if (emits) {
        for (int c = 0; c < kHeadDim; ++c) {
          pooled[c] = state[2 * kHeadDim + c] / state[kHeadDim + c];
        }
        clear(state);
      }
    }
    if (!emits) continue;
    round_to_bf16(pooled, kHeadDim);
    norm_to_bf16(pooled, kHeadDim, args.norm_weight, args.eps);
    rope_to_bf16(pooled, kHeadDim, angles_at(args.rope, t - kRatio + 1));
    double* stored = expected.stored.data() + emitted * kHeadDim;
    std::copy(pooled, pooled + kHeadDim, stored);
    quantise_fp8(stored, kNopeDim, kNopeBlock);
    ++emitted;
  }
}

}  // namespace

Expected reference(const Args& args) {
  const std::size_t slot_floats =
      static_cast<std::size_t>(args.form == StateForm::rows ? kRatio * 2 : 3) * kHeadDim;
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
  expected.pooled.resize(static_cast<std::size_t>(emitted.back() * kHeadDim));
  expected.stored.resize(expected.pooled.size());
  for_each_index(args.batch.sequences, [&](std::int64_t s) {
    compress(args, args.batch.first_token[s], args.batch.first_token[s + 1],
             expected.state.data() + static_cast<std::size_t>(args.state_slot[s]) * slot_floats,
             emitted[static_cast<std::size_t>(s)], expected);
  });
  return expected;
}

}  // namespace v4cap::kernels::compressor_hca
