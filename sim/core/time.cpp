#include "sim/core/time.h"

#include <stdexcept>

namespace v4cap {

void refuse_duration() {
  throw std::out_of_range("time does not fit into 292 years");
}

}  // namespace v4cap
