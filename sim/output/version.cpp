#include "sim/output/version.h"

namespace v4cap {

std::string_view simulator_version() {
  return V4CAP_VERSION;
}

}  // namespace v4cap
