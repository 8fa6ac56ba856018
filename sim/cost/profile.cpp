#include "sim/cost/profile.h"

#include <algorithm>

namespace v4cap {

bool ProfileFamily::has_mark(std::string_view mark) const {
  return std::ranges::find(marks, mark) != marks.end();
}

const ProfileSeries* ProfileFamily::find(
    const std::vector<std::pair<std::string_view, std::string_view>>& wanted) const {
  if (wanted.size() != keys.size()) return nullptr;
  for (const ProfileSeries& one : series) {
    const bool matches = std::ranges::all_of(wanted, [&](const auto& want) {
      const auto key = std::ranges::find(keys, want.first);
      return key != keys.end() &&
             one.keys[static_cast<std::size_t>(key - keys.begin())] == want.second;
    });
    if (matches) return &one;
  }
  return nullptr;
}

const ProfileFamily* Profile::find(std::string_view family) const {
  const auto it = std::ranges::find(families, family, &ProfileFamily::name);
  return it == families.end() ? nullptr : &*it;
}

const ProfileFamily* Profile::whole_steps() const {
  const auto it = std::ranges::find(families, ProfileGrain::step, &ProfileFamily::grain);
  return it == families.end() ? nullptr : &*it;
}

}  // namespace v4cap
