#include "exec/calibrate/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "exec/driver/gpu_error.h"
#include "sim/core/write_error.h"

namespace v4cap::exec::calibrate {
namespace {

[[noreturn]] void failed(const std::string& path) {
  throw write_failed(path, errno);
}

}  // namespace

void DiskFiles::append(const std::string& path, std::string_view text) {
  std::error_code ignored;  // open says what is wrong
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) failed(path);
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      ::close(file);
      errno = reason;
      failed(path);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool synced = ::fdatasync(file) == 0 || errno == EINVAL || errno == EROFS;
  if (::close(file) != 0 || !synced) failed(path);
}

void DiskFiles::truncate(const std::string& path, std::size_t bytes) {
  if (::truncate(path.c_str(), static_cast<off_t>(bytes)) != 0) failed(path);
}

void DiskFiles::rename(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) failed(to);
}

FolderLock::FolderLock(const std::string& folder) {
  std::error_code ignored;  // open says what is wrong
  std::filesystem::create_directories(folder, ignored);
  const std::string path = folder + "/lock";
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) failed(path);
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  const bool taken = errno == EWOULDBLOCK;
  ::close(file_);
  if (!taken) failed(path);
  throw RunError("another calibration writes to " + folder, error_kind::kBusyFolder);
}

FolderLock::~FolderLock() {
  ::close(file_);
}

}  // namespace v4cap::exec::calibrate
