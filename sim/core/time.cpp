#include "sim/core/time.h"

#include <cmath>
#include <stdexcept>

namespace v4cap {

Duration duration_from_seconds(double seconds) {
  const double ns = std::round(seconds * 1e9);
  constexpr double kLimit = 9.2e18;
  if (!(ns > -kLimit && ns < kLimit)) throw std::out_of_range("time does not fit into 292 years");
  return Duration{static_cast<std::int64_t>(ns)};
}

}  // namespace v4cap
