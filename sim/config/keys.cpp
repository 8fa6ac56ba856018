#include "sim/config/keys.h"

#include <algorithm>

namespace v4cap {

const KeySpec* find_key(const std::vector<KeySpec>& keys, std::string_view name) {
  for (const KeySpec& spec : keys) {
    if (spec.name == name || spec.name == "*") return &spec;
  }
  return nullptr;
}

void add_parameter(std::vector<KeySpec>& keys, const std::string& name, const std::string& meaning,
                   double min, double max) {
  const auto same = std::ranges::find(keys, name, &KeySpec::name);
  if (same == keys.end()) {
    keys.push_back(key<double>(name, meaning).within(min, max));
  } else {
    same->min = std::min(same->min.value_or(min), min);
    same->max = std::max(same->max.value_or(max), max);
  }
}

}  // namespace v4cap
