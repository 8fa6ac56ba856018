// Values that grids of points are made of: powers of two, and beside them the edges of the tiles
// that kernels cut their work into.
#pragma once

#include <cstdint>
#include <vector>

#include "exec/calibrate/family.h"

namespace v4cap::exec::calibrate {

// Tokens of a launch, ascending from 1 to `most`.
std::vector<int> token_grid(GridSize size, int most);

struct DecodePoint {
  int batch = 0, context = 0;  // sequences, and tokens of each with the new one
};
// At most `pairs` tokens of context in all; contexts to 1 M.
std::vector<DecodePoint> decode_grid(GridSize size, std::int64_t pairs);

struct PrefillPoint {
  int fresh = 0, past = 0;  // tokens of one sequence in this launch and before it
};
// past + fresh is at most 1 M.
std::vector<PrefillPoint> prefill_grid(GridSize size);

// What a rank of a V4 model has.
int local_heads(const Rank& rank);
int padded_heads(const Rank& rank);  // 64 or 128, which attention runs with
int local_experts(const Rank& rank);

// Refuses a model that is no DeepSeek-V4, and shares of it that are none: InputError at "--model",
// "--tp", "--ep".
void check_rank(const Rank& rank);

}  // namespace v4cap::exec::calibrate
