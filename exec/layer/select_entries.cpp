#include "exec/layer/select_entries.h"

#include <algorithm>

namespace v4cap::exec {
namespace {

constexpr std::int64_t kRowAlignment = 256;  // floats
constexpr std::int64_t kTokenGroup = 12;  // of sm90a_shared_keys; those of other versions divide it

}  // namespace

std::int64_t tokens_per_piece(std::int64_t stride, std::int64_t bytes) {
  const std::int64_t fit = bytes / (stride * static_cast<std::int64_t>(sizeof(float)));
  return fit < kTokenGroup ? std::max<std::int64_t>(fit, 1) : fit / kTokenGroup * kTokenGroup;
}

Array<std::int32_t> select_entries(Executor& executor, const kernels::indexer_scores::Args& score,
                                   const std::int32_t* visible, int visible_max, int top_k,
                                   std::int64_t bytes) {
  const std::int64_t tokens = score.batch.tokens;
  const std::int64_t stride =
      (visible_max + kRowAlignment - 1) / kRowAlignment * kRowAlignment + kRowAlignment;
  const std::int64_t most = std::min(tokens, tokens_per_piece(stride, bytes));
  auto selected = executor.array<std::int32_t>(tokens * top_k);
  const auto scores = executor.array<float>(most * stride);
  for (std::int64_t begin = 0; begin < tokens; begin += most) {
    kernels::indexer_scores::Args piece = score;
    piece.batch.tokens = static_cast<int>(std::min(most, tokens - begin));
    piece.batch.positions += begin;
    piece.batch.sequence_of += begin;
    if (most < tokens) piece.batch.first_token = nullptr;  // of the whole batch; nobody asks for it
    const std::int64_t heads = begin * kernels::kIndexHeads;
    piece.q_codes += heads * score.keys.code_bytes();
    if (score.q_scales != nullptr) {
      piece.q_scales += heads * (kernels::kIndexDim / kernels::kExpertScaleBlock);
    }
    piece.weights += heads;
    piece.scores = scores.data();
    piece.score_stride = stride;
    executor.run(piece);
    executor.run(kernels::topk::Args{.rows = piece.batch.tokens,
                                     .k = top_k,
                                     .scores = scores.data(),
                                     .stride = stride,
                                     .lengths = visible + begin,
                                     .max_length = visible_max,
                                     .selected = selected.data() + begin * top_k});
  }
  return selected;
}

}  // namespace v4cap::exec
