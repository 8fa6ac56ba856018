// Tokens of all attention ranks to every GPU, before experts that are cut by tensor parallelism
// over all of them: BF16 rows of `hidden` channels. In a ring each GPU passes on what it gets, all
// but its own part of the whole: (gpus-1)/gpus of the message, half of an all-reduce. Source:
// Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69 (2009).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::all_gather {

struct Shape {
  std::int64_t tokens = 0;  // of all ranks together
  std::int64_t hidden = 0;
  std::int64_t gpus = 1;
};

// Bytes that each GPU sends.
constexpr double link_bytes(const Shape& s) {
  return 2 * real(s.tokens) * real(s.hidden) * real(s.gpus - 1) / real(s.gpus);
}

}  // namespace v4cap::kernels::all_gather
