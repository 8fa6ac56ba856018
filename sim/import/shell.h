// The part of shell syntax that launch commands are written in: words, quotes, continued lines,
// comments, assignments and variables. Nothing is run and nothing is looked up outside the text: a
// variable has a value only where the text itself gave it one, else its name is kept, so that a
// reader can be told what is open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/core/error.h"

namespace v4cap {

// A word after quotes are removed and variables with a known value are replaced.
struct ShellWord {
  std::string text;
  Place place;
  std::vector<std::string> unresolved;  // "$TP", "$(nproc)": as written, in order
};

struct ShellAssignment {
  std::string name;
  ShellWord value;
};

// One simple command: assignments that stand before it or, without words, assignments to the shell
// itself. `export A=b` counts as the latter. A list in parentheses, `CMD=(vllm serve ...)`, is a
// command of its own.
struct ShellCommand {
  std::vector<ShellAssignment> assignments;
  std::vector<ShellWord> words;
};

// `file` is only for places. Throws InputError for a quote or bracket that is not closed.
std::vector<ShellCommand> read_shell(std::string_view text, const std::string& file);

}  // namespace v4cap
