// The public traces by the names of their folders.
#pragma once

#include "tests/data.h"
#include "traces/reader.h"

namespace v4cap {

// The first `max_requests` of it, 0 = all.
inline Trace data_trace(const std::string& name, std::int64_t max_requests = 0) {
  TraceReadOptions options;
  options.max_requests = max_requests;
  return read_trace(locate_trace((data_dir() / "traces" / name).string(), ""), options);
}

}  // namespace v4cap
