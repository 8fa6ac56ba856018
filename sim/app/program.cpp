// The program as a function: builds the command line from the registered commands, runs the one
// that was named and turns whatever goes wrong into text on `err` and an exit code. CLI11 does the
// parsing; its messages and exit codes (105 to 109) are replaced, so that a slip is answered with
// the nearest command or option and a 2.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <string_view>

#include "sim/app/command.h"
#include "sim/app/interrupt.h"
#include "sim/app/scenario_options.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/output/json_writer.h"
#include "sim/output/version.h"

namespace v4cap {

namespace {

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

// The same on every command, and on every part of a command that has parts (`trace info`); on the
// command itself too where it can do without a part.
void add_global_options(CLI::App& app, RawOptions& raw, bool reads_scenario) {
  const auto parts = app.get_subcommands([](CLI::App*) { return true; });
  for (CLI::App* part : parts) add_global_options(*part, raw, reads_scenario);
  if (app.get_require_subcommand_min() > 0) return;
  GlobalOptions& o = raw.options;
  const char* group = "Every command";
  if (reads_scenario) {
    app.add_option("--set", o.set, "path.to.key=VALUE: overrides the scenario; may be repeated")
        ->allow_extra_args(false)
        ->transform(CLI::Validator(
            [](std::string& set) {
              set = override_as_typed(set);
              return std::string();
            },
            "", "file"))
        ->type_name("KEY=VALUE")
        ->group(group);
    app.add_option("--traces", o.trace_dir, "folder that holds traces (else V4CAP_TRACES)")
        ->group(group);
  }
  app.add_option("--seed", raw.seed,
                 reads_scenario ? "overrides the scenario's seed" : "of everything random")
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
  std::string where = app.get_name();
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

// Whether words that are no options may belong to the command itself.
bool takes_words(const CLI::App& app) {
  return std::ranges::any_of(app.get_options(), &CLI::Option::get_positional);
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
  if (const auto commands = command_names(*command); !commands.empty() && !takes_words(*command)) {
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
  explicit Program(const ProgramInfo& info)
      : app_(std::string(info.description), std::string(info.name)) {
    app_.set_version_flag("--version", app_.get_name() + ' ' + std::string(simulator_version()));
    app_.footer(std::string(info.footer));
    app_.require_subcommand(0, 1);  // after one, its name and those of others are plain words
    for (const std::string& name : CommandRegistry::names()) {
      std::unique_ptr<Command> command = (*CommandRegistry::find(name))();
      CLI::App* sub = app_.add_subcommand(name, command->summary());
      command->add_options(*sub);
      add_global_options(*sub, raw_, command->reads_scenario());
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
    context.describe = [this] { return described(); };
    for (Entry& entry : commands_) {
      if (entry.app->parsed()) return entry.command->run(context);
    }
    throw usage_error(app_.get_name(), "expected a command" + suggestion("", command_names(app_)));
  }

 private:
  CommandText described() const {
    CommandText text{app_.get_name(), app_.get_description(), app_.get_footer(), {}, {}};
    text.options = command_text(app_, nullptr).options;
    for (const Entry& entry : commands_) {
      text.parts.push_back(command_text(*entry.app, entry.command.get()));
    }
    return text;
  }

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

// Turns what was thrown into text on `err`, a document on `out` where --json asks for one, and an
// exit code.
class Failure {
 public:
  Failure(const ProgramInfo& info, const std::vector<std::string>& arguments,
          CommandContext& context)
      // The options may be what is wrong, so that they were not parsed.
      : json_(std::ranges::find(arguments, "--json") != arguments.end()),
        info_(info),
        context_(context) {}

  ExitCode report(const InputError& error) {
    for (const Diagnostic& d : error.diagnostics()) {
      if (d.place.file.empty()) context_.err << info_.name << ": ";
      context_.err << to_string(d) << '\n';
    }
    document(error.kind(), error.what(), error.details(), [&](JsonWriter& json) {
      json.key("diagnostics").begin_array();
      for (const Diagnostic& d : error.diagnostics()) {
        json.begin_object().member("file", d.place.file).member("line", d.place.line);
        json.member("column", d.place.column).member("message", d.message).end_object();
      }
      json.end_array();
    });
    return ExitCode::bad_input;
  }

  ExitCode report(const RunError& error) {
    context_.err << info_.name << ": " << error.what() << '\n';
    document(error.kind(), error.what(), error.details(), [](JsonWriter&) {});
    return ExitCode::failed;
  }

  ExitCode report(const InterruptedCommand& end) {
    context_.err << end.what() << '\n';
    document("interrupted", end.what(), {}, [](JsonWriter&) {});
    return ExitCode::interrupted;
  }

  ExitCode report(const std::exception& error) {
    if (info_.explain != nullptr) {
      if (const std::optional<RunError> known = info_.explain(error)) return report(*known);
    }
    return report(RunError(std::string("unexpected failure: ") + error.what(), "unexpected"));
  }

 private:
  void document(const std::string& kind, std::string_view message,
                const std::vector<ErrorDetail>& details,
                const std::function<void(JsonWriter&)>& more) {
    if (!json_ || context_.answered) return;
    JsonWriter json;
    json.begin_object().key("error").begin_object();
    json.member("kind", kind).member("message", message);
    for (const ErrorDetail& detail : details) {
      json.key(detail.name);
      std::visit([&](const auto& value) { json.value(value); }, detail.value);
    }
    more(json);
    json.end_object().end_object();
    context_.out << json.text() << '\n';
    context_.out.flush();
  }

  bool json_;
  const ProgramInfo& info_;
  CommandContext& context_;
};

ExitCode run_guarded(const ProgramInfo& info, const std::vector<std::string>& arguments,
                     CommandContext& context) {
  Failure failure(info, arguments, context);
  try {
    const ExitCode code = Program(info).run(arguments, context);
    context.answered = true;
    context.out.flush();
    if (!context.out) throw RunError("cannot write to standard output");
    return code;
  } catch (const InputError& e) {
    return failure.report(e);
  } catch (const RunError& e) {
    return failure.report(e);
  } catch (const InterruptedCommand& e) {
    return failure.report(e);
  } catch (const std::bad_alloc&) {
    return failure.report(RunError("out of memory", "out_of_host_memory"));
  } catch (const std::exception& e) {
    return failure.report(e);
  }
}

}  // namespace

ExitCode run_program(const ProgramInfo& info, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err, bool out_is_terminal,
                     bool err_is_terminal) {
  CommandContext context{out, err, {}, out_is_terminal, err_is_terminal};
  const ExitCode code = run_guarded(info, arguments, context);
  out.flush();
  err.flush();
  return code;
}

int program_main(const ProgramInfo& info, int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return static_cast<int>(run_program(info, arguments, std::cout, std::cerr,
                                      isatty(STDOUT_FILENO) == 1, isatty(STDERR_FILENO) == 1));
}

}  // namespace v4cap
