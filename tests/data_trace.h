// The public traces by the names of their folders.
#pragma once

#include "tests/data.h"
#include "traces/reader.h"

namespace v4cap {

inline Trace data_trace(const std::string& name) {
  return read_trace(locate_trace((data_dir() / "traces" / name).string(), ""));
}

}  // namespace v4cap
