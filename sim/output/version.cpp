#include "sim/output/version.h"

#include "source_hash.inc"

namespace v4cap {

std::string_view simulator_version() {
  return V4CAP_VERSION;
}

std::string_view simulator_sources() {
  return V4CAP_SOURCES;
}

}  // namespace v4cap
