#include "exec/collectives/peer_processes.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "exec/driver/gpu_error.h"
#include "sim/core/json.h"
#include "sim/output/json_writer.h"

extern char** environ;

namespace v4cap::exec {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kBetweenLooks = std::chrono::milliseconds(20);

// The message of the error that is a line of JSON in a log, else the last line that is there.
std::string last_said(const std::string& log) {
  std::ifstream file(log);
  std::string said;
  for (std::string text; std::getline(file, text);) {
    if (text.empty()) continue;
    if (text[0] != '{') {
      said = text;
      continue;
    }
    try {
      JsonLine line;
      const JsonValue error = line.parse(text, Place{log}).find("error");
      if (error) return std::string(error.at("message").string());
    } catch (const InputError&) {  // a line that only looks like one
    }
  }
  return said;
}

pid_t start(const std::string& program, const PeerTask& task) {
  std::error_code ignored;  // spawning says what is wrong
  std::filesystem::create_directories(std::filesystem::path(task.log).parent_path(), ignored);
  std::string name = program;
  std::vector<std::string> texts = task.arguments;
  std::vector<char*> arguments{name.data()};
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, task.log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = 0;
  const int failed =
      ::posix_spawn(&pid, program.c_str(), &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) {
    throw RunError("cannot start " + program + " as " + task.name + " with its log in " + task.log +
                       ": " + std::strerror(failed),
                   error_kind::kProcess);
  }
  return pid;
}

}  // namespace

void end_process(const RunError& error) {
  JsonWriter json;
  json.begin_object().key("error").begin_object().member("kind", error.kind());
  json.member("message", error.what()).end_object().end_object();
  std::printf("%s\n", json.text().c_str());
  std::fflush(stdout);
  ::_exit(1);
}

PeerProcesses::PeerProcesses(const std::string& program, const std::vector<PeerTask>& tasks,
                             OnLoss on_loss)
    : on_loss_(std::move(on_loss)) {
  for (const PeerTask& task : tasks) {
    try {
      peers_.push_back({task, start(program, task)});
    } catch (...) {
      kill_all();
      throw;
    }
  }
  watch_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

PeerProcesses::~PeerProcesses() {
  watch_ = {};
  kill_all();
}

void PeerProcesses::kill_all() {
  for (Peer& peer : peers_) {
    if (!peer.ended) ::kill(peer.pid, SIGKILL);
  }
  for (Peer& peer : peers_) {
    if (peer.ended) continue;
    while (::waitpid(peer.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    peer.ended = true;
  }
}

std::unique_ptr<RunError> PeerProcesses::lost() {
  for (Peer& peer : peers_) {
    int status = 0;
    if (peer.ended || ::waitpid(peer.pid, &status, WNOHANG) != peer.pid) continue;
    peer.ended = true;
    if (may_end_ && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    std::string message = peer.task.name + " is gone: ";
    message += WIFEXITED(status) ? "it ended with exit code " + std::to_string(WEXITSTATUS(status))
                                 : "signal " + std::to_string(WTERMSIG(status));
    if (const std::string said = last_said(peer.task.log); !said.empty()) message += ": " + said;
    return std::make_unique<RunError>(message + "; its log is " + peer.task.log,
                                      error_kind::kRankLost);
  }
  return nullptr;
}

void PeerProcesses::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (const auto error = lost()) {
      kill_all();
      on_loss_(*error);
      return;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

bool PeerProcesses::all_ended() const {
  return std::ranges::all_of(peers_, &Peer::ended);
}

void PeerProcesses::finish(double limit_s) {
  watch_ = {};
  may_end_ = true;
  const auto end = Clock::now() + std::chrono::duration<double>(limit_s);
  for (;;) {
    const auto error = lost();
    if (error == nullptr && all_ended()) return;
    const bool late = Clock::now() > end;
    if (error != nullptr || late) {
      kill_all();
      if (error != nullptr) throw RunError(*error);
      throw timed_out("the end of the other ranks", limit_s);
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace v4cap::exec
