// A command of a program, v4cap (sim/app) or v4exec (exec): one file each, registered by name. The
// program itself is a function over what is registered, the same for both.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "sim/app/command_text.h"
#include "sim/core/error.h"
#include "sim/core/registry.h"

namespace CLI {
class App;
}

namespace v4cap {

// Options that every command takes; `set` and `trace_dir` only those that read a scenario.
struct GlobalOptions {
  std::vector<std::string> set;       // --set path.to.key=VALUE, in order
  std::optional<std::uint64_t> seed;  // --seed
  std::string trace_dir;              // --traces, else V4CAP_TRACES, else ""
  bool json = false, quiet = false, no_color = false, dry_run = false;
};

// Streams are given, so that tests run the real program in the process. Data goes to `out`,
// everything else to `err`. `err_is_terminal` decides whether a progress bar is drawn.
struct CommandContext {
  std::ostream& out;
  std::ostream& err;
  GlobalOptions options;
  bool out_is_terminal = false, err_is_terminal = false;
  // Set by a command that has written its JSON document before it throws; otherwise the program
  // answers --json with a document that says what went wrong.
  bool answered = false;
  // The whole command line, for commands that write about it.
  std::function<CommandText()> describe{};
};

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string summary() const = 0;            // one line for --help
  virtual void add_options(CLI::App& app) = 0;        // binds to members
  virtual ExitCode run(CommandContext& context) = 0;  // throws InputError, RunError
  virtual bool reads_scenario() const { return true; }
  // Names that the value of `option` ("--layout", "KIND") may have, for shell completion. Empty:
  // there are no such names, it may be a file.
  virtual std::vector<std::string> values([[maybe_unused]] std::string_view option) const {
    return {};
  }
};

using CommandRegistry = Registry<std::unique_ptr<Command> (*)()>;

struct ProgramInfo {
  std::string_view name;         // as it is called: begins every message
  std::string_view description;  // one line for --help
  std::string_view footer;       // the end of --help
  // What an exception means that is neither InputError nor RunError; nothing when it does not know
  // it. May be null.
  std::optional<RunError> (*explain)(const std::exception& error) = nullptr;
};

// The whole program as a function: parses `arguments` (without the program name), runs a command,
// prints errors to `err` and returns the exit code. With --json a failure is also one document on
// `out`: {"error": {"kind": ..., "message": ..., and the error's details by name}}; wrong input is
// of kind "input" and has "diagnostics": [{"file", "line", "column", "message"}].
ExitCode run_program(const ProgramInfo& info, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err, bool out_is_terminal,
                     bool err_is_terminal);

// The same for main.
int program_main(const ProgramInfo& info, int argc, char** argv);

}  // namespace v4cap
