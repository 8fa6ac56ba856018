#include "sim/app/interrupt.h"

#include <unistd.h>

#include <algorithm>

#include "sim/core/error.h"

namespace v4cap {

namespace {

// Made before the signal comes: a handler may not allocate.
struct Answer {
  std::string line, document;
};

Answer& answer() {
  static Answer one;
  return one;
}

void put(int file, const std::string& text) {
  const char* next = text.data();
  for (std::size_t left = text.size(); left > 0;) {
    const ssize_t n = ::write(file, next, left);
    if (n <= 0) return;
    next += n;
    left -= static_cast<std::size_t>(n);
  }
}

void end_interrupted(int) {
  put(STDERR_FILENO, answer().line);
  put(STDOUT_FILENO, answer().document);
  ::_exit(static_cast<int>(ExitCode::interrupted));
}

}  // namespace

void answer_interrupts(std::string_view program, int argc, const char* const* argv) {
  answer().line = std::string(program) + ": interrupted\n";
  const bool json = std::any_of(
      argv, argv + argc, [](const char* word) { return word == std::string_view("--json"); });
  if (json) {
    answer().document = "{\"error\":{\"kind\":\"interrupted\",\"message\":\"interrupted\"}}\n";
  }
  if (std::signal(SIGINT, end_interrupted) == SIG_IGN) std::signal(SIGINT, SIG_IGN);
}

}  // namespace v4cap
