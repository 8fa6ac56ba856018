// Where the public traces come from, for messages to people whose machine does not have them.
#pragma once

#include <string>
#include <string_view>

namespace v4cap {

// "; it can be had from URL, folder F" for a name that begins like a known public trace's, else a
// list of all sources that begins the same way.
std::string where_to_get(std::string_view name);

}  // namespace v4cap
