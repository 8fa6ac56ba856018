#include "sim/sweep/sweep_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sim/core/write_error.h"
#include "sim/output/run_directory.h"
#include "sim/sweep/export.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

// What makes a directory that of a sweep.
bool is_sweep(const std::string& path) {
  return std::ranges::any_of(std::array{kPlanFile, kStoreFile, kLockFile},
                             [&](const char* name) { return fs::exists(fs::path(path) / name); });
}

int locked(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) throw write_failed(path, errno, "cannot be created");
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  const int error = errno;
  ::close(file);
  if (error != EWOULDBLOCK) throw write_failed(path, error, "cannot be locked");
  throw InputError(Place{fs::path(path).parent_path().string()},
                   "another v4cap is working on this sweep; wait for it, or name another directory "
                   "with --out");
}

// Half-written files of a process that was killed: RunDirectory's temporary names.
void remove_partial(const std::string& path) {
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') || name.find(".partial-") == std::string::npos) continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

SweepDirectory::SweepDirectory(std::string path, bool overwrite) : path_(std::move(path)) {
  if (path_.empty()) throw InputError({}, "expected a directory for the sweep, got an empty name");
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  std::error_code error;
  fs::create_directories(path_, error);
  if (error || !fs::is_directory(path_)) {
    throw InputError(Place{path_}, "expected a directory for the sweep" +
                                       (error ? ": " + error.message() : std::string()));
  }
  if (!overwrite && !is_sweep(path_) && !fs::is_empty(path_)) {
    throw InputError(Place{path_},
                     "the directory is not empty and not of a sweep; name another one with --out, "
                     "or give --overwrite to write into it");
  }
  lock_ = locked(file(kLockFile));
  remove_partial(path_);
  if (!overwrite) return;
  for (const std::string name : {kPlanFile, kStoreFile, kCsvFile, kJsonlFile}) {
    for (const std::string& whole : {name, name + "-wal", name + "-shm"}) {
      fs::remove(file(whole), error);
    }
  }
  fs::remove_all(file(kShardFolder), error);
}

SweepDirectory::~SweepDirectory() {
  ::close(lock_);
}

void write_file(const std::string& folder, const std::string& name, const std::string& text) {
  RunDirectory(folder, true, Writers::many).write({{name, [&](const TextSink& sink) {
                                                      sink(text);
                                                    }}});
}

std::string existing_sweep(const std::string& path) {
  if (!fs::is_directory(path)) {
    throw InputError(Place{path}, "expected the directory of a sweep, found none");
  }
  if (!fs::exists(fs::path(path) / kPlanFile)) {
    throw InputError(Place{path}, std::string("expected the directory of a sweep, found no ") +
                                      kPlanFile + " in it");
  }
  return path;
}

}  // namespace v4cap
