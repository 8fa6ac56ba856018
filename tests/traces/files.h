// Files that a test makes for itself, below one folder of the process that is removed at its end.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace v4cap {

class TestFile {
 public:
  TestFile(const std::string& name, std::string_view content) : path_(root() + "/" + name) {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TestFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;

  const std::string& path() const { return path_; }

  static const std::string& root() {
    struct Folder {
      std::string path =
          (std::filesystem::temp_directory_path() / ("v4cap_tests_" + std::to_string(::getpid())))
              .string();
      ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
      }
    };
    static const Folder folder;
    return folder.path;
  }

 private:
  std::string path_;
};

}  // namespace v4cap
