// The lightning indexer's choice for every token: the scores of all keys that it sees, and the
// largest of them.
//
// Scores of a whole prefill are tokens x context / 4 floats, 8.6 GB for 8,192 tokens at a context of
// 1 Mi. So tokens are taken in pieces whose scores fit a fixed memory, one piece after the other in
// the same place. A token's scores and choice depend on no other token, so that pieces change
// nothing.
#pragma once

#include <cstdint>

#include "exec/layer/executor.h"

namespace v4cap::exec {

// Holds 512 tokens at a context of 1 Mi: no captured decode is cut.
inline constexpr std::int64_t kScoreBytes = std::int64_t{640} << 20;

// Tokens of a piece, whose rows of scores are `stride` floats: as many as fit `bytes`, in whole
// groups of tokens that kernels read keys for together; at least one.
std::int64_t tokens_per_piece(std::int64_t stride, std::int64_t bytes);

// [tokens, top_k] entries of each token of score.batch, as topk gives them. `score` has everything
// but scores and their stride. `visible`: entries that each token sees, [tokens], at most
// `visible_max`.
Array<std::int32_t> select_entries(Executor& executor, const kernels::indexer_scores::Args& score,
                                   const std::int32_t* visible, int visible_max, int top_k,
                                   std::int64_t bytes = kScoreBytes);

}  // namespace v4cap::exec
