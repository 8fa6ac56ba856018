// The tokens of a step: `tokens` rows, those of one sequence side by side and in order. A sequence
// in decode has one (with speculation a few), one in prefill a chunk. Device memory in kernels,
// host memory in CPU references.
#pragma once

#include <cstdint>

namespace v4cap::kernels {

struct Batch {
  int tokens = 0;
  int sequences = 0;
  int max_new_tokens = 0;                     // of one sequence in this step
  int max_context = 0;                        // largest position + 1
  const std::int32_t* positions = nullptr;    // [tokens] absolute, from 0
  const std::int32_t* sequence_of = nullptr;  // [tokens]
  const std::int32_t* first_token = nullptr;  // [sequences + 1] row of a sequence's first new token
};

// Every sequence has one new token, so that its row is its number.
constexpr bool row_is_sequence(const Batch& batch) {
  return batch.max_new_tokens == 1 && batch.tokens == batch.sequences;
}

// Entries that the query at position t may see.
constexpr std::int64_t visible_entries(std::int64_t position, int ratio) {
  return (position + 1) / ratio;
}

}  // namespace v4cap::kernels
