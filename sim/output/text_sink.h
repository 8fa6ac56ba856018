// Where a writer puts its text, piece by piece: a file, a string, a pipe. Writers of long files
// hand over a line at a time, so that a run of a million requests is never in memory twice.
#pragma once

#include <functional>
#include <string_view>

namespace v4cap {

using TextSink = std::function<void(std::string_view)>;

}  // namespace v4cap
