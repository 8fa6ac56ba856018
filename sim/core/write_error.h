// A file that cannot be written, told apart by whether the disk is full: then there is something to
// do about it, and what was written before is worth keeping.
#pragma once

#include <string>

#include "sim/core/error.h"

namespace v4cap {

// RunError of kind "disk_full" when `error_number` (errno) says that no space or quota is left, of
// kind "cannot_write" otherwise. `what`: "cannot be created".
RunError write_failed(const std::string& path, int error_number,
                      const std::string& what = "cannot be written");

}  // namespace v4cap
