// SIGINT ends a run at its next progress call, so that what it has can be written or dropped in
// order.
#pragma once

#include <csignal>
#include <stdexcept>
#include <string>
#include <string_view>

namespace v4cap {

// Ends a command that was interrupted, with exit code 130; with --json a document of kind
// "interrupted" says so. `kept` is what became of the work: "nothing was written".
class InterruptedCommand : public std::runtime_error {
 public:
  explicit InterruptedCommand(const std::string& kept)
      : std::runtime_error("interrupted: " + kept) {}
};

// From here on SIGINT ends the process with exit code 130, a line on standard error that begins with
// `program` and, where --json is among the arguments, the document of an interrupted command: for
// what no InterruptGuard covers, such as reading a trace. A SIGINT that the caller ignores stays
// ignored. Call once, at the start of main.
void answer_interrupts(std::string_view program, int argc, const char* const* argv);

// Catches SIGINT for as long as it lives. One at a time.
class InterruptGuard {
 public:
  InterruptGuard() : previous_(std::signal(SIGINT, [](int) { raised_ = 1; })) { raised_ = 0; }
  ~InterruptGuard() { std::signal(SIGINT, previous_); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool interrupted() { return raised_ != 0; }

 private:
  static inline volatile std::sig_atomic_t raised_ = 0;
  void (*previous_)(int);
};

}  // namespace v4cap
