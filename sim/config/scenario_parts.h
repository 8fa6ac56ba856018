// What several sections of a scenario read alike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "sim/config/section.h"

namespace v4cap {

// `name` or `name=argument`: letters, digits, '_', '-'; the argument also '.', '+', ','.
inline bool is_name(std::string_view text) {
  const auto all = [](std::string_view part, std::string_view extra) {
    return !part.empty() && std::ranges::all_of(part, [&](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || extra.find(c) != std::string_view::npos;
    });
  };
  const std::size_t equals = text.find('=');
  return all(text.substr(0, equals), "") &&
         (equals == std::string_view::npos || all(text.substr(equals + 1), ".+,"));
}

// Refuses, at its place, what is no such name.
inline std::string read_name(Section& section, std::string_view key, const std::string& fallback) {
  const auto name = section.optional<std::string>(key, fallback);
  if (!is_name(name)) {
    section.error(key,
                  "expected a name or name=argument, such as checkpoint=2048, got " + shown(name));
  }
  return name;
}

// What a scenario may ask of its model and node. A figure is 0 when reading it failed: nothing is
// compared with it then, because that would only repeat the first error in other words.
inline std::int64_t bound(std::int64_t figure) {
  return figure > 0 ? figure : std::numeric_limits<std::int64_t>::max();
}

}  // namespace v4cap
