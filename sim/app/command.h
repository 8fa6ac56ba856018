// A command of the v4cap program: one file each under sim/app, registered by name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "sim/core/error.h"
#include "sim/core/registry.h"

namespace CLI {
class App;
}

namespace v4cap {

// Options that every command takes.
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
};

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string summary() const = 0;            // one line for --help
  virtual void add_options(CLI::App& app) = 0;        // binds to members
  virtual ExitCode run(CommandContext& context) = 0;  // throws InputError, RunError
};

using CommandRegistry = Registry<std::unique_ptr<Command> (*)()>;

// The whole program as a function: parses `arguments` (without the program name), runs a command,
// prints errors to `err` and returns the exit code.
ExitCode run_program(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err, bool out_is_terminal, bool err_is_terminal);

}  // namespace v4cap
