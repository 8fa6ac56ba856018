#include "sim/output/run_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "sim/core/error.h"
#include "sim/core/write_error.h"

namespace v4cap {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 16;

std::string reason(int error) {
  return std::generic_category().message(error);
}

// 0, or the error that kept it from being written whole.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(file, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// A file under its temporary name. Unlinked on destruction unless it was renamed.
class PartialFile {
 public:
  PartialFile(int directory, std::string place, std::string name)
      : directory_(directory), place_(std::move(place)), name_(std::move(name)) {
    // A name that a killed run left behind is passed over, never reused.
    for (int i = 0; i < 1000 && file_ < 0; ++i) {
      temporary_ = '.' + name_ + ".partial-" + std::to_string(i);
      file_ = ::openat(directory_, temporary_.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
      if (file_ < 0 && errno != EEXIST) fail("cannot be created", errno);
    }
    if (file_ < 0) fail("cannot be created", EEXIST);
    buffer_.reserve(kBuffer);
  }
  ~PartialFile() {
    if (file_ >= 0) ::close(file_);
    if (!temporary_.empty()) ::unlinkat(directory_, temporary_.c_str(), 0);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  void append(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kBuffer) flush();
  }

  // Everything on disk, still under the temporary name.
  void complete() {
    flush();
    if (::fsync(file_) != 0) fail("cannot be written", errno);
    if (::close(std::exchange(file_, -1)) != 0) fail("cannot be written", errno);
  }

  void rename() {
    if (::renameat(directory_, temporary_.c_str(), directory_, name_.c_str()) != 0) {
      fail("cannot be replaced", errno);
    }
    temporary_.clear();
  }

 private:
  void flush() {
    if (const int error = write_all(file_, buffer_)) fail("cannot be written", error);
    buffer_.clear();
  }

  [[noreturn]] void fail(const char* what, int error) {
    // The destructor of a half-built object does not run: a constructor that fails has made no
    // file.
    throw write_failed(place_ + '/' + name_, error, what);
  }

  int directory_;
  std::string place_, name_, temporary_, buffer_;
  int file_ = -1;
};

bool is_empty(int directory, const std::string& path) {
  // fdopendir takes ownership of what it is given.
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    const int error = errno;
    if (copy >= 0) ::close(copy);
    throw InputError({path}, "the output directory cannot be read: " + reason(error));
  }
  bool empty = true;
  while (const dirent* const entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  ::closedir(stream);
  return empty;
}

// Whether this call made the directory.
bool make_directory(const std::string& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (error) {
    throw InputError({path}, "the output directory cannot be created: " + error.message());
  }
  return made;
}

bool is_removed(int directory) {
  struct stat found {};
  return ::fstat(directory, &found) == 0 && found.st_nlink == 0;
}

}  // namespace

// A file that grows by whole writes, so that what was written is there whenever the process ends.
class RunDirectory::StreamedFile {
 public:
  StreamedFile(int directory, std::string place, std::string name)
      : directory_(directory), place_(std::move(place)), name_(std::move(name)) {
    // What a killed run left behind is replaced, and no link followed.
    ::unlinkat(directory_, partial_name().c_str(), 0);
    file_ = ::openat(directory_, partial_name().c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file_ < 0) throw write_failed(path(), errno, "cannot be created");
  }
  ~StreamedFile() {
    if (file_ >= 0) ::close(file_);
  }
  StreamedFile(const StreamedFile&) = delete;
  StreamedFile& operator=(const StreamedFile&) = delete;

  std::string path() const { return place_ + '/' + partial_name(); }

  void append(std::string_view text) {
    if (const int error = write_all(file_, text)) {
      throw write_failed(path(), error, "cannot be written");
    }
  }

  void complete() {
    if (::fsync(file_) != 0) throw write_failed(path(), errno, "cannot be written");
    if (::close(std::exchange(file_, -1)) != 0) {
      throw write_failed(path(), errno, "cannot be written");
    }
  }

  void rename() {
    if (::renameat(directory_, partial_name().c_str(), directory_, name_.c_str()) != 0) {
      throw write_failed(path(), errno, "cannot be renamed");
    }
  }

 private:
  std::string partial_name() const { return name_ + ".partial"; }

  int directory_;
  std::string place_, name_;
  int file_ = -1;
};

// Makes or opens the directory at path_.
bool RunDirectory::open() {
  created_ = make_directory(path_) || created_;
  directory_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0 && errno == ENOENT) return false;
  if (directory_ < 0) {
    throw InputError({path_}, "expected a directory for the output: " + reason(errno));
  }
  return true;
}

void RunDirectory::close() {
  ::close(std::exchange(directory_, -1));
}

RunDirectory::RunDirectory(std::string path, bool overwrite, Writers writers)
    : path_(std::move(path)) {
  if (path_.empty())
    throw InputError({}, "expected a directory for the output, found an empty name");
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  // A run that fails removes the directory that it made, and may do so before this one has the lock.
  constexpr int kTries = 100;
  for (int i = 0; directory_ < 0; ++i) {
    if (i == kTries) throw InputError({path_}, "the output directory is removed again and again");
    if (!open() || writers == Writers::many) continue;
    if (::flock(directory_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      close();
      throw InputError(
          {path_},
          "another run is writing into the output directory; name another one, or wait "
          "for it");
    }
    if (is_removed(directory_)) close();
  }
  try {
    if (!overwrite && !is_empty(directory_, path_)) {
      throw InputError({path_},
                       "the output directory is not empty; name another one, or give "
                       "--overwrite to replace the files of a run in it");
    }
    if (::faccessat(directory_, ".", W_OK | X_OK, AT_EACCESS) != 0) {
      throw InputError({path_}, "the output directory cannot be written: " + reason(errno));
    }
  } catch (...) {
    close();
    throw;
  }
}

RunDirectory::~RunDirectory() {
  // rmdir removes nothing that has content. Before the lock goes: it would be another run's then.
  if (created_ && !written_) ::rmdir(path_.c_str());
  close();
}

TextSink RunDirectory::stream(const std::string& name) {
  V4CAP_CHECK(name.find('/') == std::string::npos, "a run file with a path: " + name);
  streams_.push_back(std::make_unique<StreamedFile>(directory_, path_, name));
  StreamedFile* const file = streams_.back().get();
  return [file](std::string_view text) { file->append(text); };
}

std::vector<std::string> RunDirectory::partial_files() const {
  std::vector<std::string> paths;
  for (const auto& file : streams_) paths.push_back(file->path());
  return paths;
}

void RunDirectory::write(const std::vector<RunFile>& files,
                         const std::vector<std::string>& outdated) {
  std::vector<std::unique_ptr<PartialFile>> partial;
  for (const RunFile& file : files) {
    V4CAP_CHECK(file.name.find('/') == std::string::npos, "a run file with a path: " + file.name);
    partial.push_back(std::make_unique<PartialFile>(directory_, path_, file.name));
    file.write([&](std::string_view text) { partial.back()->append(text); });
    partial.back()->complete();
  }
  for (const auto& file : streams_) file->complete();
  // From here on files of an older run are replaced, each by a whole one.
  written_ = true;
  for (const auto& file : partial) file->rename();
  for (const auto& file : streams_) file->rename();
  streams_.clear();
  for (const std::string& name : outdated) {
    if (std::ranges::find(files, name, &RunFile::name) != files.end()) continue;
    if (::unlinkat(directory_, name.c_str(), 0) != 0 && errno != ENOENT) {
      throw write_failed(path_ + '/' + name, errno, "cannot be removed");
    }
  }
  if (::fsync(directory_) != 0 && errno != EINVAL) {
    throw write_failed(path_, errno, "cannot be flushed to disk");
  }
}

}  // namespace v4cap
