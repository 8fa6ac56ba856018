// Tests that need the public traces and measurements, which are read in place and never part of the
// project. They lie under V4CAP_DATA, else in `shared` beside the source folder. Where they are
// not, a test says that it was skipped and passes.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace v4cap {

inline std::filesystem::path data_dir() {
  if (const char* set = std::getenv("V4CAP_DATA"); set != nullptr && *set != '\0') return set;
  return std::filesystem::path(V4CAP_SOURCE_DIR).parent_path() / "shared";
}

inline bool data_is_missing(const char* test) {
  if (std::filesystem::is_directory(data_dir())) return false;
  std::printf("[skipped] %s: no data at %s\n", test, data_dir().c_str());
  return true;
}

}  // namespace v4cap

#define V4CAP_DATA_TEST_CASE(body, name)           \
  static void body();                              \
  TEST_SUITE("data") {                             \
    TEST_CASE(name) {                              \
      if (!::v4cap::data_is_missing(name)) body(); \
    }                                              \
  }                                                \
  static void body()

#define DATA_TEST_CASE(name) V4CAP_DATA_TEST_CASE(DOCTEST_ANONYMOUS(v4cap_data_test_), name)
