// Registries: a policy, layout, scheduler, trace reader or command adds itself by name from its own
// file, so that a new one is one new file and one line of CMake. Libraries holding registrants are
// OBJECT libraries, because a linker drops unreferenced members of an archive. Names are kept
// sorted: the order in which files were linked shows nowhere.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

// One registry per entry type. Entry is usually a factory function pointer.
template <class Entry>
class Registry {
 public:
  static bool add(std::string name, Entry entry) {
    const bool fresh = entries().emplace(std::move(name), entry).second;
    V4CAP_CHECK(fresh, "a name was registered twice");
    return fresh;
  }
  // nullptr when unknown.
  static const Entry* find(std::string_view name) {
    const auto it = entries().find(name);
    return it == entries().end() ? nullptr : &it->second;
  }
  static std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& [name, entry] : entries()) out.push_back(name);
    return out;
  }

 private:
  static std::map<std::string, Entry, std::less<>>& entries() {
    static std::map<std::string, Entry, std::less<>> map;
    return map;
  }
};

}  // namespace v4cap
