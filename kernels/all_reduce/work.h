// Sum over the ranks of a tensor-parallel group, after attention and after the experts of each
// layer: BF16 rows of `hidden` channels. Bandwidth-optimal schedules send and receive 2
// (ranks-1)/ranks of the message per GPU; that is what link_bytes counts, one direction. Source:
// Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69 (2009).
#pragma once

#include "kernels/work.h"

namespace v4cap::kernels::all_reduce {

struct Shape {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t ranks = 1;
};

// Bytes that each GPU sends.
constexpr double link_bytes(const Shape& s) {
  const double message = 2 * real(s.tokens) * real(s.hidden);
  return message * 2 * real(s.ranks - 1) / real(s.ranks);
}

}  // namespace v4cap::kernels::all_reduce
