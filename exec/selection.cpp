#include "exec/selection.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap::exec {

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  for (const Suite& suite : suites()) names.push_back(suite.name);
  return names;
}

std::vector<Suite> select_suites(const std::vector<std::string>& names) {
  const std::vector<Suite> all = suites();
  if (names.empty()) return all;
  const std::vector<std::string> known = suite_names();
  std::vector<Suite> chosen;
  for (const std::string& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      throw InputError({"--operator"}, fmt::format("expected the name of an operator, found '{}'{}",
                                                   name, suggestion(name, known)));
    }
    chosen.push_back(all[static_cast<std::size_t>(found - known.begin())]);
  }
  return chosen;
}

void refuse_unknown_version(const std::string& version) {
  if (version.empty()) return;
  std::vector<std::string> known{"preferred", "portable only"};  // of whole layers
  for (const std::string_view name : kernels::registered_names()) known.emplace_back(name);
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  if (!std::binary_search(known.begin(), known.end(), version)) {
    throw InputError({"--version"}, fmt::format("expected the name of a version, found '{}'{}",
                                                version, suggestion(version, known)));
  }
}

}  // namespace v4cap::exec
