#include <array>
#include <cmath>
#include <limits>

#include "kernels/indexer_scores/indexer_scores.h"
#include "kernels/parallel.h"
#include "kernels/reference.h"

namespace v4cap::kernels::indexer_scores {
namespace {

// The query of one head: [128].
void read_query(const Args& args, std::int64_t token, int head, double* out) {
  const std::int64_t row = token * kIndexHeads + head;
  for (int c = 0; c < kIndexDim; ++c) {
    if (args.keys.format == KeyFormat::fp8) {
      out[c] = real(e4m3_to_float(args.q_codes[row * kIndexDim + c]));
    } else {
      const std::uint8_t pair = args.q_codes[row * (kIndexDim / 2) + c / 2];
      const auto code = static_cast<std::uint8_t>(pair >> c % 2 * 4 & 15);
      const std::uint8_t scale =
          args.q_scales[row * (kIndexDim / kExpertScaleBlock) + c / kExpertScaleBlock];
      out[c] = real(e2m1_to_float(code)) * real(ue8m0_to_float(scale));
    }
  }
}

}  // namespace

std::vector<double> reference(const Args& args) {
  std::vector<double> scores(
      static_cast<std::size_t>(args.batch.tokens) * static_cast<std::size_t>(args.score_stride),
      std::numeric_limits<double>::quiet_NaN());
  for_each_index(args.batch.tokens, [&](std::int64_t token) {
    std::vector<double> query(static_cast<std::size_t>(kIndexHeads) * kIndexDim);
    for (int h = 0; h < kIndexHeads; ++h) read_query(args, token, h, &query[0] + h * kIndexDim);
    const std::int64_t visible = visible_entries(args.batch.positions[token], args.compress_ratio);
    double* row = scores.data() + token * args.score_stride;
    for (std::int64_t j = 0; j < visible; ++j) {
      std::array<double, kIndexDim> key{};
      read_key(args.keys, args.pages.page(args.batch.sequence_of[token], j, kKeysPerPage),
               static_cast<int>(j % kKeysPerPage), key.data());
      double score = 0;
      for (int h = 0; h < kIndexHeads; ++h) {
        const double* q = query.data() + h * kIndexDim;
        double dot = 0;
        for (std::size_t c = 0; c < key.size(); ++c) dot += q[c] * key[c];
        if (dot > 0) score += real(args.weights[token * kIndexHeads + h]) * dot;
      }
      row[j] = score;
    }
  });
  return scores;
}

}  // namespace v4cap::kernels::indexer_scores
