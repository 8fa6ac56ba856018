// Outputs of the experts on their way back to the attention rank of their token: the rows of
// kernels/expert_dispatch in the other direction, in BF16. They are added up where they arrive.
#pragma once

#include "kernels/expert_dispatch/work.h"

namespace v4cap::kernels::expert_combine {

using expert_dispatch::Shape;

// Bytes that the busiest GPU sends or receives.
constexpr double link_bytes(const Shape& s) {
  return expert_dispatch::busiest_rows(s) * 2 * real(s.hidden);
}

}  // namespace v4cap::kernels::expert_combine
