#include "sim/core/write_error.h"

#include <cerrno>
#include <system_error>

namespace v4cap {

RunError write_failed(const std::string& path, int error_number, const std::string& what) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return {path + ": " + what + ": " + std::generic_category().message(error_number),
          full ? "disk_full" : "cannot_write",
          {{"path", path}}};
}

}  // namespace v4cap
