// The lightning indexer's scores of every visible key:
//   score[t, j] = sum over 64 heads h of weight[t, h] * max(0, q[t, h, :] . k[j, :])
// for j < floor((position[t] + 1) / 4), in float. Elements beyond are not written.
// Source: DeepSeek-V4 inference reference (Indexer); formats: DeepGEMM mqa_logits.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/batch.h"
#include "kernels/formats/pages.h"
#include "kernels/indexer_scores/work.h"

namespace v4cap::kernels::indexer_scores {

struct Args {
  Batch batch = {};
  const std::uint8_t* q_codes = nullptr;   // as indexer_query writes them
  const std::uint8_t* q_scales = nullptr;  // FP4 only
  const float* weights = nullptr;          // [tokens, 64]
  KeyPool keys = {};
  PageTable pages = {};
  int compress_ratio = 4;
  float* scores = nullptr;  // [tokens, score_stride]
  std::int64_t score_stride = 0;
};

// [tokens, score_stride]; elements that are not written are NaN.
std::vector<double> reference(const Args& args);

}  // namespace v4cap::kernels::indexer_scores
