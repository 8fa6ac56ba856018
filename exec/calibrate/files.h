// How a calibration writes. Injected, so that a full disk can be had in a test.
#pragma once

#include <string>
#include <string_view>

namespace v4cap::exec::calibrate {

class Files {
 public:
  virtual ~Files() = default;
  // Adds to the end of a file, which is made when it is not there, and has it on disk when it
  // returns. Throws RunError as write_failed() makes it; part of the text may be in the file then.
  virtual void append(const std::string& path, std::string_view text) = 0;
  virtual void truncate(const std::string& path, std::size_t bytes) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;
};

// The real ones.
class DiskFiles : public Files {
 public:
  void append(const std::string& path, std::string_view text) override;
  void truncate(const std::string& path, std::size_t bytes) override;
  void rename(const std::string& from, const std::string& to) override;
};

// Keeps a folder for one calibration at a time, as long as it lives, whatever ends the process.
// Makes the folder. Throws RunError: busy_folder when another process has it, what write_failed()
// makes when it cannot be made.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace v4cap::exec::calibrate
