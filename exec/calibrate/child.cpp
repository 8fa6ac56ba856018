#include "exec/calibrate/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "exec/driver/gpu_error.h"

extern char** environ;

namespace v4cap::exec::calibrate {
namespace {

using Clock = std::chrono::steady_clock;

// Spawn's description of the child's files, freed with it.
class FileActions {
 public:
  explicit FileActions(const std::string& log) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
  }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

std::uintmax_t size_of(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

ChildEnd ended(int status) {
  if (WIFEXITED(status)) return {ChildEnd::How::exited, WEXITSTATUS(status)};
  return {ChildEnd::How::signalled, WTERMSIG(status)};
}

// Waits in vain only while the kernel cannot end a process that hangs in the driver.
void kill_and_wait(pid_t child) {
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

ChildEnd ProcessChildren::run(const ChildTask& task) {
  std::error_code ignored;  // spawning says what is wrong
  std::filesystem::create_directories(std::filesystem::path(task.log).parent_path(), ignored);
  std::vector<char*> arguments{program_.data()};
  std::vector<std::string> texts = task.arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  const FileActions files(task.log);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, program_.c_str(), files.get(), nullptr, arguments.data(), environ);
  if (failed != 0) {
    throw RunError(
        "cannot start " + program_ + " with its log in " + task.log + ": " + std::strerror(failed),
        error_kind::kProcess);
  }
  std::uintmax_t written = 0;
  auto grown = Clock::now();
  for (;;) {
    int status = 0;
    const pid_t found = ::waitpid(child, &status, WNOHANG);
    if (found == child) {
      // Ctrl-C reaches the child too.
      return interrupted_() ? ChildEnd{ChildEnd::How::interrupted, 0} : ended(status);
    }
    if (found < 0 && errno != EINTR) throw RunError("lost " + program_, error_kind::kProcess);
    const std::uintmax_t now = size_of(task.progress) + size_of(task.log);
    if (now != written) {
      written = now;
      grown = Clock::now();
    }
    if (interrupted_()) {
      kill_and_wait(child);
      return {ChildEnd::How::interrupted, 0};
    }
    if (Clock::now() - grown > std::chrono::duration<double>(task.quiet_limit_s)) {
      kill_and_wait(child);
      return {ChildEnd::How::hung, 0};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace v4cap::exec::calibrate
