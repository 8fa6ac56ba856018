// Comparison with a file under tests/golden. On a mismatch the new text is written beside it as
// name.new, so that a person can look at the difference and move it over.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace v4cap {

inline std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void check_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(V4CAP_SOURCE_DIR) + "/tests/golden/" + name;
  if (file_text(path) == text) return;
  std::ofstream(path + ".new", std::ios::binary) << text;
  FAIL_CHECK("differs from its golden file\n  expected: ", path, "\n  found:    ", path, ".new");
}

}  // namespace v4cap
