// What wrote a result file, and under which definitions its numbers were computed.
#pragma once

#include <string_view>

namespace v4cap {

// The project's version, from CMake.
std::string_view simulator_version();

// A hash of the sources that results depend on, 32 hexadecimal digits. Stored results of other
// sources are not taken for those of these.
std::string_view simulator_sources();

// Changes whenever a metric's definition (metrics.h) does. Results of different versions do not
// compare.
inline constexpr std::string_view kDefinitionsVersion = "1";

}  // namespace v4cap
