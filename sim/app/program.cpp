// The program as a function: builds the command line from the registered commands, runs the one
// that was named and turns whatever goes wrong into text on `err` and an exit code. CLI11 does the
// parsing; its messages and exit codes (105 to 109) are replaced, so that a slip is answered with
// the nearest command or option and a 2.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

#include "sim/app/command.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

constexpr const char* kProgram = "v4cap";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Wrong use of the command line, worded for people.
InputError usage_error(const std::string& where, const std::string& message) {
  return InputError(Place{where, 0, 0}, message);
}

// What the user typed for options that need more than CLI11's conversions.
struct RawOptions {
  GlobalOptions options;
  std::string seed;
};

// The same on every command, and on every part of a command that has parts (`trace info`).
void add_global_options(CLI::App& app, RawOptions& raw) {
  const auto parts = app.get_subcommands([](CLI::App*) { return true; });
  for (CLI::App* part : parts) add_global_options(*part, raw);
  if (!parts.empty()) return;
  GlobalOptions& o = raw.options;
  const char* group = "Every command";
  app.add_option("--set", o.set, "path.to.key=VALUE: overrides the scenario; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE")
      ->group(group);
  app.add_option("--seed", raw.seed, "overrides the scenario's seed")->group(group);
  app.add_option("--traces", o.trace_dir, "folder that holds traces (else V4CAP_TRACES)")
      ->group(group);
  app.add_flag("--json", o.json, "one JSON document on standard output")
      ->disable_flag_override()
      ->group(group);
  app.add_flag("--quiet", o.quiet, "no progress and no log")->disable_flag_override()->group(group);
  app.add_flag("--no-color", o.no_color, "plain text (also with NO_COLOR set)")
      ->disable_flag_override()
      ->group(group);
  app.add_flag("--dry-run", o.dry_run, "check everything, then stop before the work")
      ->disable_flag_override()
      ->group(group);
}

GlobalOptions finished(const RawOptions& raw, const std::string& where) {
  GlobalOptions options = raw.options;
  if (!raw.seed.empty()) {
    std::string hint;
    options.seed = parse_value<std::uint64_t>(raw.seed, hint);
    if (!options.seed) {
      throw usage_error(where, "--seed: expected " + expected_text(Limits<std::uint64_t>{}) +
                                   ", got " + shown(raw.seed) + hint);
    }
  }
  if (options.trace_dir.empty()) options.trace_dir = environment("V4CAP_TRACES");
  options.no_color = options.no_color || !environment("NO_COLOR").empty();
  return options;
}

// The innermost command that the arguments named, and how it is called: "v4cap trace info".
std::pair<const CLI::App*, std::string> named_command(const CLI::App& app) {
  const CLI::App* innermost = &app;
  std::string where = kProgram;
  while (!innermost->get_subcommands().empty()) {
    innermost = innermost->get_subcommands().front();
    where += ' ' + innermost->get_name();
  }
  return {innermost, where};
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// CLI11's message where ours would not say more, without its "Could not convert" and trailing
// noise.
std::string reworded(const CLI::ParseError& e) {
  const std::string_view text = e.what();
  constexpr std::string_view kConvert = "Could not convert: ", kRequired = " is required";
  if (text.starts_with(kConvert)) {
    const std::string_view rest = text.substr(kConvert.size());
    const std::size_t equals = rest.find(" = ");
    return std::string(rest.substr(0, equals)) + ": expected a number, got " +
           shown(equals == std::string_view::npos ? "" : rest.substr(equals + 3));
  }
  if (text.find(" missing") != std::string_view::npos &&
      text.find(" required ") != std::string_view::npos) {
    return std::string(text.substr(0, text.find(':'))) + ": expected a value after it";
  }
  if (text.ends_with(kRequired)) {
    return std::string(text.substr(0, text.size() - kRequired.size())) + " is missing";
  }
  return std::string(text);
}

InputError explained(const CLI::App& app, const CLI::ParseError& e) {
  const auto [command, where] = named_command(app);
  const std::vector<std::string> extras = app.remaining(true);
  const std::string help = "; see '" + where + " --help'";
  if (extras.empty()) return usage_error(where, reworded(e) + help);
  const std::string& extra = extras.front();
  if (command != &app && !app.remaining(false).empty()) {
    return usage_error(where,
                       "expected options after the command, got " + shown(extra) + " before it");
  }
  if (extra.starts_with('-') && extra.size() > 1) {
    const std::string name = extra.substr(0, extra.find('='));
    const std::string near = nearest_name(name, option_names(*command));
    return usage_error(where, "unknown option " + shown(name) +
                                  (near.empty() ? help : "; did you mean '" + near + "'?"));
  }
  if (const auto commands = command_names(*command); !commands.empty()) {
    return usage_error(where, "unknown command " + shown(extra) + suggestion(extra, commands));
  }
  return usage_error(where, "unexpected argument " + shown(extra) + help);
}

struct Entry {
  CLI::App* app;
  std::unique_ptr<Command> command;
};

// Holds the parser and the commands whose members it fills.
class Program {
 public:
  Program()
      : app_("What will this traffic cost on this hardware under this cache policy?", kProgram) {
    app_.set_version_flag("--version",
                          std::string(kProgram) + ' ' + std::string(simulator_version()));
    app_.footer(
        "'v4cap COMMAND --help' describes a command. Exit codes: 0 done, 1 the run failed or "
        "nothing is "
        "feasible,\n2 wrong usage or input, 99 an SLO was missed, 130 interrupted.");
    for (const std::string& name : CommandRegistry::names()) {
      std::unique_ptr<Command> command = (*CommandRegistry::find(name))();
      CLI::App* sub = app_.add_subcommand(name, command->summary());
      command->add_options(*sub);
      add_global_options(*sub, raw_);
      commands_.push_back({sub, std::move(command)});
    }
  }

  ExitCode run(const std::vector<std::string>& arguments, CommandContext& context) {
    if (arguments.empty()) {
      context.err << app_.help();
      return ExitCode::bad_input;
    }
    if (!parse(arguments, context.out)) return ExitCode::done;
    context.options = finished(raw_, named_command(app_).second);
    for (Entry& entry : commands_) {
      if (entry.app->parsed()) return entry.command->run(context);
    }
    throw usage_error(kProgram, "expected a command" + suggestion("", command_names(app_)));
  }

 private:
  // False when the arguments asked for help or the version, which is then printed.
  bool parse(std::vector<std::string> arguments, std::ostream& out) {
    std::ranges::reverse(arguments);  // as CLI11 takes them
    try {
      app_.parse(arguments);
      return true;
    } catch (const CLI::CallForVersion& version) {
      out << version.what() << '\n';
    } catch (const CLI::Success&) {
      out << app_.help();
    } catch (const CLI::ParseError& e) {
      throw explained(app_, e);
    }
    return false;
  }

  CLI::App app_;
  RawOptions raw_;
  std::vector<Entry> commands_;
};

void print_errors(std::ostream& err, const InputError& error) {
  for (const Diagnostic& d : error.diagnostics()) {
    err << (d.place.file.empty() ? std::string(kProgram) + ": " : "") << to_string(d) << '\n';
  }
}

ExitCode run_guarded(const std::vector<std::string>& arguments, CommandContext& context) {
  try {
    const ExitCode code = Program().run(arguments, context);
    context.out.flush();
    if (!context.out) throw RunError("cannot write to standard output");
    return code;
  } catch (const InputError& e) {
    print_errors(context.err, e);
    return ExitCode::bad_input;
  } catch (const RunError& e) {
    context.err << kProgram << ": " << e.what() << '\n';
  } catch (const std::bad_alloc&) {
    context.err << kProgram << ": out of memory\n";
  } catch (const std::exception& e) {
    context.err << kProgram << ": unexpected failure: " << e.what() << '\n';
  }
  return ExitCode::failed;
}

}  // namespace

ExitCode run_program(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err, bool out_is_terminal, bool err_is_terminal) {
  CommandContext context{out, err, {}, out_is_terminal, err_is_terminal};
  const ExitCode code = run_guarded(arguments, context);
  err.flush();
  return code;
}

}  // namespace v4cap
